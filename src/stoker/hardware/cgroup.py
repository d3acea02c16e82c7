"""What control groups leave to this process: those of containers, services and users on Linux.

A group's limit holds for all groups in it, so each one up to the root is looked at. Files are those
of version 2 (`cgroup-v2.rst` of the kernel), and of version 1 where a controller is still there.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from stoker.hardware.files import number_of, text_of

_ROOT: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")

# Above `high` nothing is refused, but everything crawls: it is as good as a limit.
_LIMITS: Final = ("memory.max", "memory.high", "memory.limit_in_bytes")
_USED: Final = ("memory.current", "memory.usage_in_bytes")


def memory_limit(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Bytes of RAM in all; None where no group has a limit.

    `root`: where groups are mounted, `own`: which ones this process is in.
    """
    return min((limit for _, limit in _limited(root, own)), default=None)


def memory_left(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Bytes that can be taken before a limit is reached; None where no group has one."""
    left = [
        limit - used + _idle(group)
        for group, limit in _limited(root, own)
        if (used := _number(group, _USED)) is not None
    ]
    return max(min(left), 0) if left else None


def core_quota(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Whole cores' worth of time, 1 at least; None where no group has a quota."""
    quotas = [
        max(1, int(quota) // int(period))
        for group in _around("cpu", root, own)
        for quota, period in [_cpu_times(group)]
        if quota.isdigit()
    ]
    return min(quotas, default=None)


def _around(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """The group of this process and all around it, where this controller may be.

    Inside a container the path can be the host's: only the root of the mount is there then, and it
    is the container's own group.
    """
    for line in text_of(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        inner = PurePosixPath(path).parts[1:]
        for depth in range(len(inner), -1, -1):
            yield top.joinpath(*inner[:depth])


def _limited(root: Path, own: Path) -> Iterator[tuple[Path, int]]:
    for group in _around("memory", root, own):
        if (limit := _number(group, _LIMITS)) is not None:
            yield group, limit


def _number(group: Path, names: tuple[str, ...]) -> int | None:
    found = (number_of(group / name) for name in names)
    return min((number for number in found if number is not None), default=None)


def _idle(group: Path) -> int:
    """Bytes of files that were read: counted as used, and given up when memory runs short."""
    lines = (line.split(" ", 1) for line in text_of(group / "memory.stat").splitlines())
    sizes = {name: int(size) for name, size in lines}
    # Version 1 counts inner groups only in the totals.
    return sum(
        sizes.get(f"total_{name}", sizes.get(name, 0)) for name in ("inactive_file", "active_file")
    )


def _cpu_times(group: Path) -> tuple[str, str]:
    """Microseconds of all cores in so many of a clock; `max`, -1 or nothing without a quota."""
    quota, _, period = text_of(group / "cpu.max").partition(" ")
    if quota:
        return quota, period
    return text_of(group / "cpu.cfs_quota_us"), text_of(group / "cpu.cfs_period_us")
