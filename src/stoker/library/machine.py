"""The machine as a plan sees it: what is free now, and what our own idle models would give back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stoker.hardware.host import usable_memory
from stoker.planner.devices import Device, Snapshot
from stoker.planner.fit import HOST_MARGIN


@dataclass(frozen=True, slots=True)
class Machine:
    """`budget` and `room` in bytes: the most for all models, and what strangers leave of it now."""

    budget: int
    room: Callable[[], int]
    devices: Callable[[], Awaitable[tuple[Device, ...]]]

    async def __call__(self) -> Snapshot:
        """Now."""
        free = min(self.budget, self.room())
        # The budget and the room have left their margin already; the planner takes one more.
        return Snapshot(
            host_total=usable_memory(),
            host_free=free + HOST_MARGIN,
            devices=await self.devices(),
        )
