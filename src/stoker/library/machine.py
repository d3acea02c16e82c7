"""The machine as plans and the scheduler see it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from stoker.hardware.host import usable_memory
from stoker.planner.devices import Device, Listing, Snapshot
from stoker.planner.room import HOST_MARGIN

_FRESH: Final = 1.0
"""Seconds a look at the GPUs stays good: the engine that is asked needs a good part of one."""


class Machine:
    """`budget` and `room` in bytes: the most for all models, and what strangers leave of it now.

    `devices` ask for the GPUs that each engine can use; `changes` counts how often engines were
    installed or removed, since another build may see others.
    """

    def __init__(
        self,
        *,
        budget: int,
        room: Callable[[], int],
        devices: Mapping[str, Callable[[], Awaitable[tuple[Device, ...]]]],
        changes: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = budget
        self._room = room
        self._devices = devices
        self._changes = changes
        self._seen = 0
        self._clock = clock
        self._listing: Listing | None = None
        self._empty: dict[str, Snapshot] = {}
        self._looking = asyncio.Lock()

    async def listing(self) -> Listing:
        """The GPUs, looked at a second ago at most."""
        async with self._looking:
            now, changes = self._clock(), self._changes()
            listing = self._listing
            if listing is None or now - listing.since > _FRESH or changes != self._seen:
                listing = self._listing = Listing(await self._ask(), now)
                self._empty = {}
                self._seen = changes
            return listing

    async def empty(self, engine: str) -> Snapshot:
        """As if nothing ran, for this engine: what does not fit there is refused for good.

        The very same one until the GPUs are looked at anew.
        """
        listing = self._listing
        if listing is None or self._changes() != self._seen:
            listing = await self.listing()
        found = self._empty.get(engine)
        if found is None:
            devices = listing.by_engine.get(engine, ())
            found = self._empty[engine] = Snapshot(
                host_total=self._budget,
                host_free=self._budget + HOST_MARGIN,
                devices=tuple(replace(device, free=device.total) for device in devices),
            )
        return found

    async def _ask(self) -> dict[str, tuple[Device, ...]]:
        return {engine: await ask() for engine, ask in self._devices.items()}

    async def now(self, engine: str, held: Mapping[str, int]) -> Snapshot:
        """As if of ours nothing ran: what is free, and what our runners hold of each GPU."""
        listing = await self.listing()
        # The budget and the room have left their margin already; the planner takes one more.
        return Snapshot(
            host_total=usable_memory(),
            host_free=min(self._budget, self._room()) + HOST_MARGIN,
            devices=tuple(
                replace(device, free=min(device.free + held.get(device.id, 0), device.total))
                for device in listing.by_engine.get(engine, ())
            ),
        )
