"""Processes that stand still, or are gone."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import psutil


def family_of(pid: int) -> list[psutil.Process]:
    """A process and all that it and its descendants have started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def freeze(pid: int) -> None:
    """Stop it, and return when all its threads stand still: until then one of them may answer."""
    os.kill(pid, signal.SIGSTOP)
    while not all(_stands(stat) for stat in Path(f"/proc/{pid}/task").glob("*/stat")):
        time.sleep(0.001)


def survivors(processes: Sequence[psutil.Process], *, within: float = 10) -> list[psutil.Process]:
    """Those that have not ended after so many seconds. A zombie has ended."""
    deadline = time.monotonic() + within
    while left := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return left


def _stands(stat: Path) -> bool:
    return stat.read_text().rpartition(") ")[2].startswith("T")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
