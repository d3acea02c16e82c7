"""Which models, and which quantizations of one, fit this machine."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from stoker.base.errors import DoesNotFit, Incomplete, ParseError
from stoker.formats import ModelFacts
from stoker.library.explain import Planning, speed_of
from stoker.planner.devices import Snapshot
from stoker.planner.fit import MIN_CONTEXT, place
from stoker.planner.options import Options
from stoker.planner.quantized import BITS, quantized, resized
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings
from stoker.wire.plan import Choice

_UNQUANTIZED: Final = frozenset({"F32", "BF16", "F16"})


@dataclass(frozen=True, slots=True)
class Recommender:
    """Says of each what a run of it would do now, with the settings nobody configured."""

    planning: Planning

    async def choices(self, model: ModelSpec) -> list[Choice]:
        """Which quantizations of this model fit, best first; the best one that fits is marked.

        Of safetensors, and of what has no quantization, the model itself.
        """
        facts = await self.planning.facts.facts(model)
        if facts is None:
            return []
        if model.format is not Format.GGUF or not facts.bits_per_weight:
            return [await self._here(model, facts, facts.quantization)]
        rows = [
            await self._here(model, facts, name)
            if name == facts.quantization
            else await self._choice(name, model, quantized(facts, name), here=False)
            for name in BITS
        ]
        return _marked(rows)

    async def offered(
        self, model: ModelSpec, facts: ModelFacts, sizes: Mapping[str, int]
    ) -> list[Choice]:
        """The same of quantizations that exist elsewhere, their files' bytes by name.

        Of safetensors there is the one that was asked for.
        """
        if model.format is not Format.GGUF:
            return [await self._with_vllm(facts.quantization, model, facts)]
        known = {**sizes, facts.quantization: facts.file_size}
        rows = []
        for name in sorted(known, key=lambda name: -known[name]):
            mine = name == facts.quantization
            version = facts if mine else resized(facts, name, known[name])
            rows.append(await self._choice(name, model, version, here=False))
        return _marked(rows)

    async def each(self, models: Iterable[ModelSpec]) -> list[Choice]:
        """How these models fit, as they are."""
        rows = []
        for model in models:
            with suppress(Incomplete, ParseError):  # it is no choice, and the others are
                if facts := await self.planning.facts.facts(model):
                    rows.append(await self._here(model, facts, model.name))
        return rows

    async def _here(self, model: ModelSpec, facts: ModelFacts, name: str) -> Choice:
        if model.format is Format.GGUF:
            row = await self._choice(name, model, facts, here=True)
        else:
            row = await self._with_vllm(name, model, facts)
        row.here = True
        return row

    async def _with_vllm(self, name: str, model: ModelSpec, facts: ModelFacts) -> Choice:
        plan = await self.planning.plan_of(model, facts, Mode.COMPLETION, RunSettings())
        where = "GPU" if plan.gpu_layers else "CPU"
        return Choice(
            name, facts.file_size, plan.total or facts.file_size, plan.fits, where, plan.context
        )

    async def _choice(
        self, name: str, model: ModelSpec, facts: ModelFacts, *, here: bool
    ) -> Choice:
        size = facts.file_size or facts.weights_size
        for context in (None, MIN_CONTEXT):
            settings = RunSettings(context_size=context)
            try:
                one, machine = await self.planning.best(
                    model, facts, Mode.COMPLETION, settings, here=here
                )
            except DoesNotFit:
                continue
            break
        else:
            return Choice(name, size, size, fits=False)
        placement, cost = one.placement, one.way.cost
        longest = await asyncio.to_thread(_longest, facts, machine, one.options)
        return Choice(
            name,
            size,
            cost.memory + sum(cost.devices.values()),
            fits=True,
            where="GPU" if placement.whole else "GPU and CPU" if placement.gpu_layers else "CPU",
            context=max(longest, placement.context),
            tokens_per_second=await asyncio.to_thread(speed_of, facts, placement),
        )


def _longest(facts: ModelFacts, machine: Snapshot, options: Options) -> int:
    """The most tokens of context, by formulas alone; 0 where they have room for none."""
    try:
        return place(facts, machine, options=replace(options, context=None, offload=None)).context
    except DoesNotFit:
        return 0  # what was measured is less than what is computed


def _marked(rows: list[Choice]) -> list[Choice]:
    """The first that is quantized and fits is the best."""
    for row in rows:
        if row.fits and row.name not in _UNQUANTIZED:
            row.best = True
            break
    return rows
