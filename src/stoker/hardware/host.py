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


def available_memory() -> int:
    """Bytes that can be taken now without swapping, within the cgroup's limit if there is one."""
    machine = psutil.virtual_memory().available
    group = _own_cgroup()
    limit = _read(group / "memory.max").strip()
    used = _read(group / "memory.current").strip()
    if not (limit.isdigit() and used.isdigit()):
        return machine
    # Files that were read count as used, and are given up when memory runs short.
    kept = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines())
    idle = int(kept.get("inactive_file", "0")) + int(kept.get("active_file", "0"))
    return max(min(machine, int(limit) - int(used) + idle), 0)


def cpu_features() -> frozenset[str]:
    """Instruction sets that matter to engines, as Linux names them; empty where unknown."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def cpu_name() -> str:
    """The processor's own words, or nothing."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""


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
