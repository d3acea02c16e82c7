"""Properties checked with generated inputs."""
