"""The models that are here: list, resolve, tag, remove."""
