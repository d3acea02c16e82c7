"""A plan for people and programs: what a run would do now, what goes where, how large, how fast."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from stoker.base.errors import DoesNotFit
from stoker.engines.llamacpp_options import policy_of
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.vllm import NAME as VLLM
from stoker.formats import ModelFacts
from stoker.hardware.bandwidth import memory_bandwidth
from stoker.library.explain_vllm import vllm_plan
from stoker.library.facts import FactsReader
from stoker.library.measured import Sizes
from stoker.library.planning import Planned, RunPlanner
from stoker.planner.devices import HOST, Device, Snapshot
from stoker.planner.estimate import PROCESS_BYTES
from stoker.planner.fit import Placement, place
from stoker.planner.options import Options
from stoker.planner.room import lacking, refusal
from stoker.planner.spec import Cost, Format, Mode, ModelSpec, RunSettings
from stoker.planner.speed import tokens_per_second
from stoker.wire.plan import Plan, PlanDevice, PlanPart


@dataclass(frozen=True, slots=True)
class Planning:
    """Plans on the machine as it is now. `machine` sees host and GPUs that an engine can use.

    `runs` decides how a model is run; here that is only shown.
    """

    facts: FactsReader
    runs: RunPlanner
    machine: Callable[[str], Awaitable[Snapshot]]
    measured: Callable[[ModelSpec, Options], Sizes | None] = lambda _, __: None
    measured_speed: Callable[[ModelSpec, Options], float] = lambda _, __: 0.0

    async def plan(self, model: ModelSpec, mode: Mode, settings: RunSettings) -> Plan:
        """Where this model would go. Raises InvalidSetting, and ParseError for its header."""
        return await self._plan(model, await self.facts.read(model), mode, settings, here=True)

    async def plan_of(
        self, model: ModelSpec, facts: ModelFacts, mode: Mode, settings: RunSettings
    ) -> Plan:
        """Where a model with these facts would go that is not here. Raises InvalidSetting."""
        return await self._plan(model, facts, mode, settings, here=False)

    async def _plan(
        self,
        model: ModelSpec,
        facts: ModelFacts | None,
        mode: Mode,
        settings: RunSettings,
        *,
        here: bool,
    ) -> Plan:
        began = time.perf_counter()
        engine = VLLM if model.format is Format.SAFETENSORS else LLAMACPP
        if facts is None:
            problem = f"models in {model.format} have no header to plan them with"
            return Plan(model.name, engine, fits=False, problem=problem)
        try:
            if engine == VLLM:
                plan = await self._with_vllm(model, facts, settings)
            else:
                plan = await self._with_llamacpp(model, facts, mode, settings, here=here)
        except DoesNotFit as error:
            problem = error.message.removeprefix(f"{model.name}: ")
            return Plan(model.name, engine, fits=False, problem=problem, hint=error.hint or "")
        plan.seconds = time.perf_counter() - began
        return plan

    async def best(
        self,
        model: ModelSpec,
        facts: ModelFacts,
        mode: Mode,
        settings: RunSettings,
        *,
        here: bool,
    ) -> tuple[Planned, Snapshot]:
        """What a run with llama.cpp would do now, were all others of ours unloaded; and where.

        Raises DoesNotFit, InvalidSetting.
        """
        ways = await self.runs.planned(LLAMACPP, model, facts, mode, settings, here=here)
        machine = await self.machine(LLAMACPP)
        for one in ways:
            if not lacking(one.way.cost, machine):
                return one, machine
        last = ways[-1]
        options, policy = replace(last.options, offload=None), policy_of(settings)
        place(facts, machine, options=options, policy=policy)  # whose refusal says what would fit
        raise refusal(last.way.cost, machine)

    async def _with_llamacpp(
        self,
        model: ModelSpec,
        facts: ModelFacts,
        mode: Mode,
        settings: RunSettings,
        *,
        here: bool,
    ) -> Plan:
        one, machine = await self.best(model, facts, mode, settings, here=here)
        placement, cost = one.placement, one.way.cost
        taken = self.measured(model, one.options) if here else None
        computed = placement.host_bytes + sum(share.bytes for share in placement.shares)
        total = cost.memory + sum(cost.devices.values())
        return Plan(
            model.name,
            LLAMACPP,
            fits=True,
            context=placement.context,
            trained_context=facts.context_size or 0,
            slots=one.options.slots,
            layers=len(placement.estimate.layers),
            gpu_layers=placement.gpu_layers,
            total=total,
            computed=computed,
            exact=placement.estimate.exact,
            devices=list(_devices(placement, cost, machine, taken or {})),
            tokens_per_second=await asyncio.to_thread(speed_of, facts, placement),
            measured_tokens_per_second=self.measured_speed(model, one.options) if here else 0.0,
        )

    async def _with_vllm(self, model: ModelSpec, facts: ModelFacts, settings: RunSettings) -> Plan:
        ways = await self.runs.with_vllm(model, facts, settings)
        machine = await self.machine(VLLM)
        known = self.runs.known(model, facts, settings, machine)
        return vllm_plan(model, known, settings, ways, machine)


def speed_of(facts: ModelFacts, placement: Placement) -> float:
    """Tokens a second, by how fast this machine reads its memory. Blocks when asked first."""
    return round(tokens_per_second(facts, placement, memory_bandwidth()), 1)


def _devices(
    placement: Placement, cost: Cost, machine: Snapshot, taken: Sizes
) -> Iterator[PlanDevice]:
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
            cost.devices[device.id],
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
        cost.memory,
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
