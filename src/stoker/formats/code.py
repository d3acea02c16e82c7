"""Files of a model repository that are programs, or run some when they are opened."""

import posixpath
from typing import Final

_CODE: Final = frozenset({".py", ".pyc", ".pyo", ".so", ".dll", ".dylib", ".exe", ".sh"})
# Python pickles run what they please while they are read; safetensors exist because of them.
_PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def why_not(name: str) -> str:
    """Why Stoker neither packages nor lays out a file of this name; empty when it does."""
    suffix = posixpath.splitext(name)[1].lower()
    if suffix in _CODE:
        return "it is program code"
    if suffix in _PICKLES:
        return "it may be a pickle, which runs code when it is read"
    return ""
