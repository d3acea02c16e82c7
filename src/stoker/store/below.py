"""Writing below a directory that is held open: no link is followed that comes there meanwhile.

A path is looked up anew with each call, and each of its components may have become a link to
elsewhere. So directories are opened one by one, each in the one before, and never through a link.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def held_open(path: Path) -> Iterator[int]:
    """A directory that is there and ours: its descriptor. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def directory_below(root: int, *names: str) -> Iterator[int]:
    """The directory `names[0]/names[1]/...`, made where it is missing: its descriptor.

    Raises OSError, also where one of them is a link.
    """
    folder = os.dup(root)
    try:
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            inner = os.open(name, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def place_below(root: int, name: str) -> Iterator[tuple[int, str]]:
    """Where a file of this relative name (with `/`) goes: its directory, and its last component.

    Raises as `directory_below`.
    """
    *parents, last = name.split("/")
    with directory_below(root, *parents) as folder:
        yield folder, last


def create_below(folder: int, name: str, mode: int) -> int:
    """A new file, to be written to: its descriptor. Raises OSError for anything that is there."""
    return os.open(name, _NEW_FILE, mode, dir_fd=folder)
