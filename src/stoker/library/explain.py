"""A plan for people and programs: what goes where, how large, how fast."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.engines.llamacpp_options import options_of, planned, policy_of, settled
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.vllm import NAME as VLLM
from stoker.formats import ModelFacts
from stoker.hardware.bandwidth import memory_bandwidth
from stoker.library.explain_vllm import vllm_plan
from stoker.library.facts import FactsReader
from stoker.library.measured import Sizes
from stoker.planner.devices import HOST, Device, Snapshot
from stoker.planner.estimate import PROCESS_BYTES
from stoker.planner.fit import MIN_CONTEXT, Placement, place
from stoker.planner.options import Options
from stoker.planner.quantized import BITS, quantized, resized
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings
from stoker.planner.speed import tokens_per_second
from stoker.wire.plan import Choice, Plan, PlanDevice, PlanPart

_UNQUANTIZED: Final = frozenset({"F32", "BF16", "F16"})


@dataclass(frozen=True, slots=True)
class Planning:
    """Plans on the machine as it is now. `machine` sees host and GPUs that an engine can use."""

    facts: FactsReader
    machine: Callable[[str], Awaitable[Snapshot]]
    measured: Callable[[ModelSpec, Options], Sizes | None] = lambda _, __: None
    measured_speed: Callable[[ModelSpec, Options], float] = lambda _, __: 0.0

    async def plan(self, model: ModelSpec, mode: Mode, settings: RunSettings) -> Plan:
        """Where this model would go. Raises InvalidSetting."""
        return await self.plan_of(model, await self.facts.facts(model), mode, settings)

    async def plan_of(
        self, model: ModelSpec, facts: ModelFacts | None, mode: Mode, settings: RunSettings
    ) -> Plan:
        """Where a model with these facts would go, here or not. Raises InvalidSetting."""
        began = time.perf_counter()
        if facts and model.format is Format.SAFETENSORS:
            plan = vllm_plan(model, facts, settings, await self.machine(VLLM))
            plan.seconds = time.perf_counter() - began
            return plan
        if facts is None or model.format is not Format.GGUF:
            problem = "its header cannot be read, so that there is nothing to plan it with"
            return Plan(model.name, "", fits=False, problem=problem)
        settings = settled(settings, facts.context_size)
        options = options_of(model, mode, settings)
        machine = await self.machine(LLAMACPP)
        try:
            placement = place(facts, machine, options=options, policy=policy_of(settings))
        except DoesNotFit as error:
            return Plan(
                model.name, LLAMACPP, fits=False, problem=error.message, hint=error.hint or ""
            )
        seconds = time.perf_counter() - began
        if options.context is None:
            options = options_of(model, mode, replace(settings, context_size=placement.context))
        if machine.devices and planned(settings):
            options = replace(options, offload=placement.offload)
        taken = self.measured(model, options) or {}
        speed = await asyncio.to_thread(_speed, facts, placement)
        return Plan(
            model.name,
            LLAMACPP,
            fits=True,
            context=placement.context,
            trained_context=facts.context_size or 0,
            slots=options.slots,
            layers=len(placement.estimate.layers),
            gpu_layers=placement.gpu_layers,
            total=placement.host_bytes + sum(share.bytes for share in placement.shares),
            exact=placement.estimate.exact,
            devices=list(_devices(placement, machine, taken)),
            tokens_per_second=speed,
            measured_tokens_per_second=self.measured_speed(model, options),
            seconds=seconds,
        )

    async def choices(self, model: ModelSpec) -> list[Choice]:
        """Which quantizations of this model fit, best first; the best one that fits is marked."""
        facts = await self.facts.facts(model)
        if facts is None or model.format is not Format.GGUF or not facts.bits_per_weight:
            return []
        mine = facts.quantization
        rows = await self._rows(
            model,
            (facts if name == mine else quantized(facts, name) for name in BITS),
        )
        for row in rows:
            row.here = row.name == mine
        return rows

    async def offered(
        self, model: ModelSpec, facts: ModelFacts, sizes: Mapping[str, int]
    ) -> list[Choice]:
        """The same of quantizations that exist elsewhere, their files' bytes by name.

        Of safetensors there is the one that was asked for.
        """
        if model.format is not Format.GGUF:
            plan = await self.plan_of(model, facts, Mode.COMPLETION, RunSettings())
            where = "GPU" if plan.gpu_layers else "CPU"
            row = Choice(facts.quantization, facts.file_size, plan.total, plan.fits, where)
            row.context = plan.context
            return [row]
        known = {**sizes, facts.quantization: facts.file_size}
        names = sorted(known, key=lambda name: -known[name])
        return await self._rows(
            model,
            (
                facts if name == facts.quantization else resized(facts, name, known[name])
                for name in names
            ),
        )

    async def _rows(self, model: ModelSpec, versions: Iterable[ModelFacts]) -> list[Choice]:
        """One for each version, best first; the best that is quantized and fits is marked."""
        machine = await self.machine(LLAMACPP)
        options = options_of(model, Mode.COMPLETION, RunSettings())
        rows = [
            await asyncio.to_thread(_choice, facts.quantization, facts, options, machine)
            for facts in versions
        ]
        best = next((row for row in rows if row.fits and row.name not in _UNQUANTIZED), None)
        if best:
            best.best = True
        return rows

    async def each(self, models: list[ModelSpec]) -> list[Choice]:
        """How these models fit, as they are."""
        machine = await self.machine(LLAMACPP)
        rows = []
        for model in models:
            facts = await self.facts.facts(model)
            if facts and model.format is Format.GGUF:
                options = options_of(model, Mode.COMPLETION, RunSettings())
                row = await asyncio.to_thread(_choice, model.name, facts, options, machine)
                row.here = True
                rows.append(row)
        return rows


def _choice(name: str, facts: ModelFacts, options: Options, machine: Snapshot) -> Choice:
    size = facts.file_size or facts.weights_size
    try:
        placement = place(facts, machine, options=options)
    except DoesNotFit:
        smallest = replace(options, context=min(MIN_CONTEXT, options.context or MIN_CONTEXT))
        try:
            placement = place(facts, machine, options=smallest)
        except DoesNotFit:
            return Choice(name, size, size, fits=False)
    longest = place(facts, machine, options=replace(options, context=None))
    where = "GPU" if placement.whole else "GPU and CPU" if placement.gpu_layers else "CPU"
    total = placement.host_bytes + sum(share.bytes for share in placement.shares)
    return Choice(
        name,
        size,
        total,
        fits=True,
        where=where,
        context=max(longest.context, placement.context),
        tokens_per_second=_speed(facts, placement),
    )


def _speed(facts: ModelFacts, placement: Placement) -> float:
    return round(tokens_per_second(facts, placement, memory_bandwidth()), 1)


def _devices(placement: Placement, machine: Snapshot, taken: Sizes) -> Iterator[PlanDevice]:
    """In the order of the layers, the host last."""
    known: dict[str, Device] = {device.id: device for device in machine.devices}
    estimate = placement.estimate
    first = len(estimate.layers) - placement.gpu_layers
    at = first
    for share in placement.shares:
        mine = estimate.layers[at : at + share.layers]
        weights = sum(layer.weights + layer.copied for layer in mine)
        moved = range(at, min(at + share.layers, placement.host_experts))
        weights -= sum(estimate.layers[number].experts for number in moved)
        cache = sum(layer.cache for layer in mine)
        rest = share.bytes - weights - cache
        at += share.layers
        device = known[share.device]
        yield PlanDevice(
            device.id,
            device.total,
            device.free,
            share.bytes,
            name=device.name,
            layers=share.layers,
            parts=_parts(
                taken.get(share.device, {}),
                ("weights", weights),
                ("cache", cache),
                ("compute and projector", rest),
            ),
        )
    here = estimate.layers[:first]
    experts = sum(layer.experts for layer in estimate.layers[: placement.host_experts])
    offloaded = placement.gpu_layers > 0
    yield PlanDevice(
        HOST,
        machine.host_total,
        machine.host_free,
        placement.host_bytes,
        layers=len(here),
        parts=_parts(
            taken.get(HOST, {}),
            ("weights", estimate.input_weights + sum(one.weights for one in here) + experts),
            ("cache", sum(layer.cache for layer in here)),
            ("compute", estimate.fed_compute if placement.whole else estimate.compute),
            ("output", estimate.output),
            ("projector", 0 if offloaded else estimate.extra_weights),
            ("prompt cache", estimate.prompt_cache),
            ("process", PROCESS_BYTES),
        ),
    )


def _parts(taken: Mapping[str, int], *parts: tuple[str, int]) -> list[PlanPart]:
    return [PlanPart(name, size, taken.get(name.split()[0])) for name, size in parts if size]
