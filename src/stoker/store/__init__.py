"""The content-addressed model store: an OCI Image Layout on disk."""
