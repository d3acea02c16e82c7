"""One look at the machine: its memory and its GPUs."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from stoker.hardware import amd, apple, nvidia
from stoker.hardware.finding import Finding
from stoker.hardware.host import available_memory, usable_memory
from stoker.planner.devices import Snapshot
from stoker.planner.room import HOST_MARGIN

_FRESH: Final = 0.2
"""Seconds a look at all processes stays good: a burst of requests is one look."""


def findings() -> tuple[Finding, ...]:
    """What there is of each kind of GPU, and why not. Blocks for some milliseconds."""
    host = apple.find(usable_memory(), available_memory())
    return nvidia.find(), amd.find(), host


def snapshot() -> Snapshot:
    """The host's memory and all GPUs, now."""
    devices = tuple(device for finding in findings() for device in finding.devices)
    return Snapshot(host_total=usable_memory(), host_free=available_memory(), devices=devices)


class Room:
    """Bytes of host memory that all engines together may have: what strangers do not hold.

    What is free now, and what the engines of `run_dir` already took of it.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        available: Callable[[], int] = available_memory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_dir = str(run_dir)
        self._available = available
        self._clock = clock
        self._looked = float("-inf")
        self._room = 0

    def __call__(self) -> int:
        """At most `_FRESH` seconds old. Some milliseconds on a machine with many processes."""
        now = self._clock()
        if now - self._looked > _FRESH:
            margin = min(HOST_MARGIN, usable_memory() // 20)
            self._room = max(self._available() + self._taken() - margin, 0)
            self._looked = now
        return self._room

    def _taken(self) -> int:
        """Private bytes of our engines: pages of mapped files count as available already."""
        return sum(map(self._taken_by, psutil.Process().children()))

    def _taken_by(self, child: psutil.Process) -> int:
        try:
            if not any(self._run_dir in word for word in child.cmdline()):
                return 0
            return sum(map(_private, (child, *child.children(recursive=True))))
        except psutil.Error:
            return 0  # it ended while we looked: it holds nothing any more


def _private(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return max(memory.rss - int(getattr(memory, "shared", 0)), 0)
