"""The models that are here: list, resolve, tag, remove."""

from stoker.library.library import Deleted, Library, LocalModel, Removal, Untagged

__all__ = ["Deleted", "Library", "LocalModel", "Removal", "Untagged"]
