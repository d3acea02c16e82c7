"""Apple silicon: one GPU that uses the host's memory."""

import platform
import sys
from typing import Final

from stoker.hardware.finding import Finding
from stoker.planner.devices import Device, DeviceKind

KIND: Final = "Apple"
_LARGE: Final = 36 * 1024**3
"""Bytes of RAM up to which Metal lets one process wire two thirds, and three quarters above."""


def find(total: int, available: int, *, system: str = sys.platform) -> Finding:
    """The GPU of a Mac with Apple silicon; `total` and `available` bytes are the host's."""
    if system != "darwin" or platform.machine() != "arm64":
        return Finding(KIND, note="no Mac with Apple silicon")
    return Finding(KIND, (gpu(total, available),))


def gpu(total: int, available: int) -> Device:
    """Pure: what Metal may take of a host's memory."""
    most = total * 3 // 4 if total > _LARGE else total * 2 // 3
    return Device(
        id="Metal",
        name="Apple GPU",
        kind=DeviceKind.SHARED,
        total=most,
        free=min(most, available),
    )
