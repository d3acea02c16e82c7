"""What looking for GPUs of one kind brought: devices, or why there are none."""

from dataclasses import dataclass

from stoker.planner.devices import Device


@dataclass(frozen=True, slots=True)
class Finding:
    """`note`: one line for people; `advice`: what they can do about it, if anything."""

    kind: str
    """`NVIDIA`, `AMD`, `Apple`."""
    devices: tuple[Device, ...] = ()
    note: str = ""
    advice: str = ""
