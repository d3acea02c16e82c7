"""The host: its processors and memory, as far as this process may use them."""

import os
from pathlib import Path
from typing import Final

import psutil

_CGROUP: Final = Path("/sys/fs/cgroup")


def usable_cores() -> int | None:
    """Whole cores this process may use, when that is fewer than the machine has; else None.

    Affinity masks and cgroup quotas (`docker run --cpus`, systemd's CPUQuota) are not seen by
    engines, which then start more threads than they get cores.
    """
    machine = os.cpu_count() or 1
    limits = [machine]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    quota = _read(_own_cgroup() / "cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        limits.append(max(1, int(quota[0]) // int(quota[1])))
    usable = min(limits)
    return usable if usable < machine else None


def usable_memory() -> int:
    """Bytes of RAM this process may use in all: the machine's, or its cgroup's limit."""
    total = psutil.virtual_memory().total
    limit = _read(_own_cgroup() / "memory.max").strip()
    return min(total, int(limit)) if limit.isdigit() else total


def _own_cgroup() -> Path:
    """The cgroup (version 2) this process is in; its root where there is none."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            return _CGROUP / line.removeprefix("0::").lstrip("/")
    return _CGROUP


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # no cgroups here: no limits from them
