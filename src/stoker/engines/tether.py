"""Run a program that ends when Stoker does: `python -I -S tether.py program arguments...`.

A `kill -9` of the daemon leaves it no moment to stop its engines. Linux can do it instead, but only
a process itself may ask for that. This file asks, then becomes the program: the request outlives
`exec`. It runs in a bare interpreter (15 ms) and imports nothing of Stoker.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

PARENT_VARIABLE: Final = "STOKER_PARENT_PID"
"""Set by the launcher: who must be alive."""

_PR_SET_PDEATHSIG: Final = 1
_LINUX: Final[bool] = sys.platform == "linux"


def tethered(argv: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `argv` tethered. Elsewhere than on Linux, `argv` as it is."""
    if not _LINUX:
        return tuple(argv)
    return (sys.executable, "-I", "-S", str(Path(__file__)), *argv)


def _main(argv: list[str]) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent and os.getppid() != int(parent):  # it died before the request was in place
        sys.exit(5)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # a shell is what we do not want
    except OSError as error:
        sys.exit(f"error: {argv[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
