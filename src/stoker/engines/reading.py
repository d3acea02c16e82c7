"""How much of a model's files its engine has taken in: what Linux counts, nothing estimated.

An engine maps its files or reads them. Mapped pages are in the process's count of file pages, which
is looked at once more before the files are mapped, since its libraries are in it too; what is read
by calls is in its count of characters read.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_LEAST: Final = 64 * 1024 * 1024
"""Bytes of files below which what a program reads for itself would show; they load in no time."""


@final
class Reading:
    """Of one process. `files` are what it reads until it is ready."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._inodes, self._size = set[int](), 0
        for file in files:
            try:
                status = file.stat()
            except OSError:
                continue  # the engine will say so, and better
            self._inodes.add(status.st_ino)
            self._size += status.st_size
        self._libraries = 0
        self._before: int | None = None
        self._share = 0.0

    def look(self, pid: int) -> float:
        """The share that was taken in until now, 0 to 1; never less than the last time.

        0 where the system does not tell, and for small files.
        """
        if self._size < _LEAST:
            return 0.0
        try:
            process = Path(f"/proc/{pid}")
            pages = int((process / "statm").read_bytes().split()[2]) * _PAGE
            read = int((process / "io").read_bytes().split(None, 2)[1])
            self._before = read if self._before is None else self._before
            if not self._inodes.intersection(_mapped(process)):
                self._libraries, pages = pages, 0
        except (OSError, ValueError, IndexError):
            return self._share  # it ended, or this is no Linux
        taken = max(pages - self._libraries, read - self._before)
        self._share = max(self._share, min(taken / self._size, 1.0))
        return self._share


def _mapped(process: Path) -> Iterator[int]:
    """Inodes of the files in its address space: the fifth word of a line, by proc(5)."""
    for line in (process / "maps").read_bytes().splitlines():
        yield int(line.split(None, 5)[4])
