"""A typed client of the management API; what the CLI uses."""
