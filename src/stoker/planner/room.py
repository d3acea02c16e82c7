"""What of a machine's memory may be planned with, and what a run lacks there. Pure; in bytes."""

from collections.abc import Mapping
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.base.units import binary_size
from stoker.planner.devices import HOST, Device, DeviceKind, Snapshot
from stoker.planner.spec import Cost

HOST_MARGIN: Final = 512 * 1024 * 1024
"""Bytes of host memory left to everything else."""
DEVICE_MARGIN: Final = 512 * 1024 * 1024
"""Bytes of a GPU left alone: the driver's context per process (0.3-0.6 GiB), fragmentation."""
MARGIN_SHARE: Final = 0.05
"""Of a device's total, when that is more: desktops and other programs grow."""


def usable_host(snapshot: Snapshot) -> int:
    """Bytes of host memory that may be planned with."""
    return max(snapshot.host_free - HOST_MARGIN, 0)


def usable(device: Device) -> int:
    """Bytes of a device that may be planned with."""
    return max(device.free - max(DEVICE_MARGIN, int(device.total * MARGIN_SHARE)), 0)


def lacking(cost: Cost, snapshot: Snapshot) -> Mapping[str, int]:
    """Where a run of this cost lacks how much; empty when it fits. The host last."""
    room = {device.id: usable(device) for device in snapshot.devices}
    room[HOST] = usable_host(snapshot)
    wanted = _wanted(cost, snapshot)
    return {name: short for name, size in wanted.items() if (short := size - room.get(name, 0)) > 0}


def refusal(cost: Cost, snapshot: Snapshot) -> DoesNotFit:
    """Where what is lacking first."""
    where, short = next(iter(lacking(cost, snapshot).items()))
    need = _wanted(cost, snapshot)[where]
    name = "the host" if where == HOST else where
    return DoesNotFit(
        f"it needs {binary_size(need)} of {name}, where {binary_size(need - short)} can be used"
        f" now: {binary_size(short)} are missing",
        hint="free memory, take a smaller --context-size or a smaller quantization",
    )


def _wanted(cost: Cost, snapshot: Snapshot) -> Mapping[str, int]:
    shared = {device.id for device in snapshot.devices if device.kind is DeviceKind.SHARED}
    borrowed = sum(size for name, size in cost.devices.items() if name in shared)
    return {**cost.devices, HOST: cost.memory + borrowed}
