"""Whether processes are gone."""

import time
from collections.abc import Sequence

import psutil


def family_of(pid: int) -> list[psutil.Process]:
    """A process and all that it and its descendants have started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def survivors(processes: Sequence[psutil.Process], *, within: float = 10) -> list[psutil.Process]:
    """Those that have not ended after so many seconds. A zombie has ended."""
    deadline = time.monotonic() + within
    while left := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
