"""Run a program that ends when Stoker does: `python -I -S tether.py program arguments...`.

A `kill -9` of the daemon leaves it no moment to stop its engines. Linux can do it instead, but only
a process itself may ask for that. This file asks, then becomes the program: the request outlives
`exec`. It runs in a bare interpreter (15 ms) and imports nothing of Stoker.

The request is not inherited. A program that starts others (`--with-children`) gets a guard: a
process of its group that sleeps until the program is gone, however that came, and then kills what
is left of the group.
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

_WITH_CHILDREN: Final = "--with-children"
_PR_SET_PDEATHSIG: Final = 1
_LINUX: Final[bool] = sys.platform == "linux"


def tethered(argv: Sequence[str], *, with_children: bool = False) -> tuple[str, ...]:
    """The command that runs `argv` tethered. Elsewhere than on Linux, `argv` as it is.

    `with_children`: also what `argv` starts. It must lead a process group of its own.
    """
    if not _LINUX:
        return tuple(argv)
    flags = (_WITH_CHILDREN,) if with_children else ()
    return (sys.executable, "-I", "-S", str(Path(__file__)), *flags, *argv)


def _main(argv: list[str]) -> NoReturn:
    _when_parent_dies(signal.SIGKILL)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent and os.getppid() != int(parent):  # it died before the request was in place
        sys.exit(5)
    if argv[0] == _WITH_CHILDREN:
        argv = argv[1:]
        _start_guard()
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # a shell is what we do not want
    except OSError as error:
        sys.exit(f"error: {argv[0]} cannot be run: {error.strerror}")


def _start_guard() -> None:
    guarded = os.getpid()
    if os.fork():
        return
    # Before the death can be heard of: no signal may end the guard but the one that cannot be
    # caught. TERM goes to the whole group, and the program may take its time with it.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _when_parent_dies(signal.SIGUSR1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # whoever reads the program's output waits for its last writer
        os.dup2(nowhere, stream)
    if os.getppid() == guarded:
        signal.sigwait({signal.SIGUSR1})
    os.killpg(guarded, signal.SIGKILL)


def _when_parent_dies(wanted: signal.Signals) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, wanted)


if __name__ == "__main__":
    _main(sys.argv[1:])
