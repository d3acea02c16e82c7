"""Before a GPU is loaded for the first time with something, the engine is asked what it would take.

Our estimate decides where a model goes, in a millisecond; how a driver runs a graph only the driver
knows. Where the two disagree, the larger counts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from stoker.base.units import binary_size
from stoker.engines.llamacpp_options import options_of
from stoker.library.measured import Sizes
from stoker.oci.digest import Digest
from stoker.planner.devices import Snapshot
from stoker.planner.options import Options
from stoker.planner.room import usable
from stoker.planner.spec import Mode, ModelSpec, RunSettings, Way

logger = logging.getLogger(__name__)

_MOST: Final = 512
_Key = tuple[Digest, Options, Snapshot, str]


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """`asked`: what the engine says a load would take; empty where it cannot say.

    `build`: which one of it would be loaded.
    """

    asked: Callable[[ModelSpec, Mode, RunSettings], Awaitable[Sizes]]
    build: Callable[[], str] = lambda: ""
    _said: dict[_Key, asyncio.Task[Sizes]] = field(default_factory=dict)

    async def __call__(
        self, model: ModelSpec, mode: Mode, ways: tuple[Way, ...], machine: Snapshot
    ) -> tuple[Way, ...]:
        """The ways, the best one corrected; without it, when no GPU can hold what it takes.

        A further way is asked about once it is the best.
        """
        best = ways[0]
        if not best.cost.devices:
            return ways
        key = (model.id, options_of(model, mode, best.settings), machine, self.build())
        said = await self._answer(key, model, mode, best)
        devices = {
            device: max(size, sum(said.get(device, {}).values()))
            for device, size in best.cost.devices.items()
        }
        if devices == best.cost.devices:
            return ways
        room = {device.id: usable(device) for device in machine.devices}
        if ways[1:] and any(size > room[device] for device, size in devices.items()):
            return await self(model, mode, ways[1:], machine)
        return (replace(best, cost=replace(best.cost, devices=devices)), *ways[1:])

    async def _answer(self, key: _Key, model: ModelSpec, mode: Mode, way: Way) -> Sizes:
        """Asked once, by a task of its own: many may wait, and whoever asked first may leave."""
        asking = self._said.get(key)
        if asking is None or asking.cancelled():
            asking = self._said[key] = asyncio.create_task(self._ask(model, mode, way))
            if len(self._said) > _MOST:
                self._said.pop(next(iter(self._said)))
        return await asyncio.shield(asking)

    async def _ask(self, model: ModelSpec, mode: Mode, way: Way) -> Sizes:
        said = await self.asked(model, mode, way.settings)
        _log(model, way, said)
        return said


def _log(model: ModelSpec, way: Way, said: Sizes) -> None:
    for device, size in way.cost.devices.items():
        more = sum(said.get(device, {}).values())
        if more > size:
            logger.warning(
                "llama.cpp says that model=%s takes %s of %s, planned were %s",
                model.name, binary_size(more), device, binary_size(size),
            )  # fmt: skip
