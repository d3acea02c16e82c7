"""The models that are here: list, resolve, tag, remove."""

from stoker.library.library import Deleted, Library, Removal, Untagged
from stoker.library.local import LocalModel

__all__ = ["Deleted", "Library", "LocalModel", "Removal", "Untagged"]
