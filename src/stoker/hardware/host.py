"""The host: its processors and memory, as far as this process may use them."""

import os
from pathlib import Path

import psutil

from stoker.hardware.cgroup import core_quota, memory_left, memory_limit
from stoker.hardware.files import text_of


def usable_cores() -> int | None:
    """Whole cores this process may use, when that is fewer than the machine has; else None.

    Affinity masks and cgroup quotas (`docker run --cpus`, systemd's CPUQuota) are not seen by
    engines, which then start more threads than they get cores.
    """
    machine = os.cpu_count() or 1
    limits = [machine]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    usable = min(*limits, core_quota() or machine)
    return usable if usable < machine else None


def usable_memory() -> int:
    """Bytes of RAM this process may use in all: the machine's, or its cgroup's limit."""
    total = psutil.virtual_memory().total
    limit = memory_limit()
    return total if limit is None else min(total, limit)


def available_memory() -> int:
    """Bytes that can be taken now without swapping, within the cgroup's limit if there is one."""
    machine = psutil.virtual_memory().available
    left = memory_left()
    return machine if left is None else min(machine, left)


def cpu_features() -> frozenset[str]:
    """Instruction sets that matter to engines, as Linux names them; empty where unknown."""
    for line in text_of(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def cpu_name() -> str:
    """The processor's own words, or nothing."""
    for line in text_of(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""
