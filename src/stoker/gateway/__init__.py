"""The life of one model request."""
