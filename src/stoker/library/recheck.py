"""A plan is made before room is made for it. Whether it still holds is looked at right before the
load: other programs may have taken memory of a GPU meanwhile, or a GPU may be gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.base.units import binary_size
from stoker.engines.llamacpp_options import options_of, policy_of
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.formats import ModelFacts
from stoker.library.facts import FactsReader
from stoker.planner.dealing import Share, usable
from stoker.planner.devices import Snapshot
from stoker.planner.estimate import estimate_llamacpp
from stoker.planner.fit import place, shares
from stoker.planner.spec import Mode, ModelSpec, RunSettings

logger = logging.getLogger(__name__)

_LOOKS: Final = 4
_BETWEEN: Final = 0.5
"""Seconds between looks: drivers give back late what a process held that has just ended."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """`machine`: host and GPUs with what is free of them now."""

    facts: FactsReader
    machine: Callable[[], Awaitable[Snapshot]]

    async def __call__(
        self, engine: str, model: ModelSpec, mode: Mode, settings: RunSettings
    ) -> RunSettings:
        """The settings to load with: the planned ones, or what fits now. Raises DoesNotFit."""
        offload = settings.offload
        if engine != LLAMACPP or offload is None or not offload.layers:
            return settings
        facts = await self.facts.facts(model)
        if facts is None:
            return settings
        holds = shares(estimate_llamacpp(facts, options_of(model, mode, settings)), offload)
        machine = await self.machine()
        for _ in range(_LOOKS):
            if not lacking(holds, machine):
                return settings
            await asyncio.sleep(_BETWEEN)
            machine = await self.machine()
        why = "; ".join(lacking(holds, machine))
        logger.warning("a plan no longer holds model=%s: %s", model.name, why)
        return _replanned(facts, model, mode, settings, machine)


def lacking(holds: Sequence[Share], machine: Snapshot) -> list[str]:
    """Which GPUs cannot hold their share any more, for people; none when all is well."""
    free = {device.id: usable(device) for device in machine.devices}

    def complaint(share: Share) -> str:
        if share.device not in free:
            return f"{share.device} is gone"
        return (
            f"{share.device} was to hold {binary_size(share.bytes)}, and"
            f" {binary_size(free[share.device])} of it can be used"
        )

    return [complaint(share) for share in holds if share.bytes > free.get(share.device, -1)]


def _replanned(
    facts: ModelFacts, model: ModelSpec, mode: Mode, settings: RunSettings, machine: Snapshot
) -> RunSettings:
    options = options_of(model, mode, replace(settings, offload=None))
    try:
        placement = place(facts, machine, options=options, policy=policy_of(settings))
    except DoesNotFit as error:
        raise DoesNotFit(f"{model.name}: {error.message}", hint=error.hint) from error
    return replace(settings, offload=placement.offload)
