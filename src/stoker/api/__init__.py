"""HTTP surfaces: routes and their translation to services."""
