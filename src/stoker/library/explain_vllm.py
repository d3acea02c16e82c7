"""A plan of vLLM for people and programs: what goes where, how large. Pure."""

from collections.abc import Iterator, Sequence

from stoker.engines.vllm import NAME
from stoker.engines.vllm_options import Wishes, wishes_of
from stoker.formats import ModelFacts
from stoker.library.vllm_ways import is_readable, vllm_ways
from stoker.planner.devices import HOST, Snapshot
from stoker.planner.room import lacking, refusal
from stoker.planner.spec import ModelSpec, RunSettings, Way
from stoker.planner.vllm import CPU_PROCESSES, OVERHEAD, WEIGHTS_FACTOR, conversations
from stoker.wire.plan import Plan, PlanDevice, PlanPart


def vllm_plan(
    model: ModelSpec,
    facts: ModelFacts,
    settings: RunSettings,
    ways: Sequence[Way],
    machine: Snapshot,
) -> Plan:
    """What a run would do now: the first of its `ways` that fits. Raises DoesNotFit."""
    if not is_readable(facts):
        problem = "its config.json does not tell its shape: what vLLM takes cannot be said before"
        return Plan(model.name, NAME, fits=False, problem=problem)
    on_cpu = not machine.devices
    wishes = wishes_of(model, settings, on_cpu=on_cpu)
    way = next((way for way in ways if not lacking(way.cost, machine)), None)
    if way is None:
        vllm_ways(facts, settings, wishes, machine)  # whose refusal says what would fit
        raise refusal(ways[-1].cost, machine)
    context = wishes.context or way.settings.context_size or 0
    cache = _cache(facts, way, wishes)
    devices = [*_gpus(facts, way, machine, wishes.split, cache), _host(facts, way, machine, cache)]
    return Plan(
        model.name,
        NAME,
        fits=True,
        context=context,
        slots=conversations(facts, context, cache, gpus=wishes.split, element=wishes.element),
        layers=len(facts.layers),
        gpu_layers=0 if on_cpu else len(facts.layers),
        total=sum(device.bytes for device in devices),
        devices=devices,
    )


def _cache(facts: ModelFacts, way: Way, wishes: Wishes) -> int:
    """On each device: as it is told, or what a share of the memory leaves for it."""
    told = way.settings.cache_bytes or wishes.cache
    if told or not wishes.utilization:
        return told or 0
    if way.cost.devices:
        rest = min(way.cost.devices.values()) - _loaded(facts, wishes.split) - OVERHEAD
    else:
        rest = way.cost.memory - facts.weights_size - CPU_PROCESSES
    return max(rest, 0)


def _loaded(facts: ModelFacts, split: int) -> int:
    """Bytes of weights on each of the GPUs that share them."""
    return int(facts.weights_size * WEIGHTS_FACTOR) // split


def _gpus(
    facts: ModelFacts, way: Way, machine: Snapshot, split: int, cache: int
) -> Iterator[PlanDevice]:
    for device in machine.devices:
        size = way.cost.devices.get(device.id)
        if size is None:
            continue
        weights = _loaded(facts, split)
        parts = _parts(size, ("weights", weights), ("cache", cache), rest="compute")
        yield PlanDevice(
            device.id, device.total, device.free, size,
            name=device.name, layers=len(facts.layers), parts=parts,
        )  # fmt: skip


def _host(facts: ModelFacts, way: Way, machine: Snapshot, cache: int) -> PlanDevice:
    size = way.cost.memory
    known = () if way.cost.devices else (("weights", facts.weights_size), ("cache", cache))
    parts = _parts(size, *known, rest="processes")
    return PlanDevice(HOST, machine.host_total, machine.host_free, size, parts=parts)


def _parts(total: int, *known: tuple[str, int], rest: str) -> list[PlanPart]:
    left = total - sum(size for _, size in known)
    return [PlanPart(name, size) for name, size in (*known, (rest, left)) if size > 0]
