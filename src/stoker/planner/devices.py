"""What a machine has to run models on, at one moment. Sizes in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HOST: Final = "host"
"""The name of the host's memory, where GPUs have theirs."""


class DeviceKind(StrEnum):
    """How a device relates to the host's memory."""

    DISCRETE = "discrete"
    """Memory of its own."""
    SHARED = "shared"
    """The host's memory: Apple silicon, integrated GPUs. What it takes, the host has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One GPU."""

    id: str
    """As the engine names it: `CUDA0`, `Vulkan0`, `Metal`."""
    name: str = ""
    kind: DeviceKind = DeviceKind.DISCRETE
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The GPUs that each engine can use, by a look that began at `since` (time.monotonic)."""

    by_engine: Mapping[str, tuple[Device, ...]]
    since: float

    @property
    def devices(self) -> tuple[Device, ...]:
        """Each GPU once, however many engines can use it under this id."""
        found = {device.id: device for devices in self.by_engine.values() for device in devices}
        return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The host and its GPUs."""

    host_total: int
    host_free: int
    """Available without swapping, within the container's limit if there is one."""
    devices: tuple[Device, ...] = ()
