"""A plan of vLLM for people and programs: what goes where, how large. Pure."""

from collections.abc import Iterator, Sequence

from stoker.engines.vllm import NAME
from stoker.engines.vllm_options import Wishes
from stoker.formats import ModelFacts
from stoker.library.vllm_ways import Known, is_readable, vllm_ways
from stoker.planner.devices import HOST, Snapshot
from stoker.planner.room import lacking, refusal
from stoker.planner.spec import ModelSpec, RunSettings, Way
from stoker.planner.vllm import OVERHEAD, UNMEASURED, Beside, conversations
from stoker.wire.plan import Plan, PlanDevice, PlanPart


def vllm_plan(
    model: ModelSpec,
    known: Known,
    settings: RunSettings,
    ways: Sequence[Way],
    machine: Snapshot,
) -> Plan:
    """What a run would do now: the first of its `ways` that fits. Raises DoesNotFit."""
    facts, wishes = known.facts, known.wishes
    if not is_readable(facts):
        problem = "its config.json does not tell its shape: what vLLM takes cannot be said before"
        return Plan(model.name, NAME, fits=False, problem=problem)
    on_cpu = not machine.devices
    way = next((way for way in ways if not lacking(way.cost, machine)), None)
    if way is None:
        vllm_ways(known, settings, machine)  # whose refusal says what would fit
        raise refusal(ways[-1].cost, machine)
    context = wishes.context or way.settings.context_size or 0
    beside = known.beside(context)
    cache = _cache(facts, way, wishes, beside)
    devices = [*_gpus(known, way, machine, beside, cache)]
    devices.append(_host(facts, way, machine, beside, cache))
    total = sum(device.bytes for device in devices)
    return Plan(
        model.name,
        NAME,
        fits=True,
        context=context,
        slots=conversations(facts, context, cache, split=wishes.split, element=wishes.element),
        layers=len(facts.layers),
        gpu_layers=0 if on_cpu else len(facts.layers),
        total=total,
        computed=sum(part.bytes for device in devices for part in device.parts),
        # Of a GPU, what one batch takes stays a rule of thumb.
        exact=on_cpu and beside.processes is not None,
        devices=devices,
    )


def _cache(facts: ModelFacts, way: Way, wishes: Wishes, beside: Beside) -> int:
    """On each device: as it is told, or what a share of the memory leaves for it."""
    told = way.settings.cache_bytes or wishes.cache
    if told or not wishes.utilization:
        return told or 0
    if way.cost.devices:
        rest = min(way.cost.devices.values()) - beside.loaded(facts, wishes.split.gpus) - OVERHEAD
    else:
        rest = way.cost.memory - facts.weights_size - beside.host(on_cpu=True)
    return max(rest, 0)


def _gpus(
    known: Known, way: Way, machine: Snapshot, beside: Beside, cache: int
) -> Iterator[PlanDevice]:
    facts, gpus = known.facts, known.wishes.split.gpus
    for device in machine.devices:
        size = way.cost.devices.get(device.id)
        if size is None:
            continue
        loaded = beside.loaded(facts, gpus)
        parts = _parts(
            PlanPart("weights", UNMEASURED.loaded(facts, gpus), beside.weights),
            PlanPart("cache", cache),
            PlanPart("compute", size - loaded - cache),
        )
        yield PlanDevice(
            device.id, device.total, device.free, size,
            name=device.name, layers=len(facts.layers), parts=parts,
        )  # fmt: skip


def _host(facts: ModelFacts, way: Way, machine: Snapshot, beside: Beside, cache: int) -> PlanDevice:
    on_cpu = not way.cost.devices
    parts = _parts(
        PlanPart("weights", facts.weights_size if on_cpu else 0),
        PlanPart("cache", cache if on_cpu else 0),
        PlanPart("processes", UNMEASURED.host(on_cpu=on_cpu), beside.processes),
    )
    return PlanDevice(HOST, machine.host_total, machine.host_free, way.cost.memory, parts=parts)


def _parts(*parts: PlanPart) -> list[PlanPart]:
    return [part for part in parts if part.bytes > 0]
