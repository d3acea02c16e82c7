"""Files of a model repository that are programs, or run some when they are opened."""

import posixpath
from typing import Final

_CODE: Final = frozenset({".py", ".pyc", ".pyo", ".so", ".dll", ".dylib", ".exe", ".sh"})
# Python pickles run what they please while they are read; safetensors exist because of them.
_PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def is_source(name: str) -> bool:
    """Whether it is Python source: the only code that a model may bring, for who consents to it."""
    return posixpath.splitext(name)[1].lower() == ".py"


def why_not(name: str) -> str:
    """Why a file of this name is neither packaged nor laid out unless asked for; empty if it is."""
    suffix = posixpath.splitext(name)[1].lower()
    if suffix in _CODE:
        return "it is program code"
    if suffix in _PICKLES:
        return "it may be a pickle, which runs code when it is read"
    return ""
