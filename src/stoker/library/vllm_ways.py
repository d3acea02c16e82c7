"""How vLLM can run a model here: on which GPU or on the CPU, with how much cache. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stoker.base.errors import DoesNotFit
from stoker.engines.vllm_options import Wishes
from stoker.formats import ModelFacts
from stoker.planner.devices import Device, Snapshot
from stoker.planner.room import usable_host
from stoker.planner.spec import Cost, Offload, RunSettings, Way
from stoker.planner.vllm import (
    CPU_PROCESSES,
    GPU_PROCESSES,
    MAX_UTILIZATION,
    UNMEASURED,
    Beside,
    VllmPlan,
    cache_per_token,
    conversations,
    plan_vllm,
    plan_vllm_on_cpu,
    widest,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to plan with. `beside`: what was measured with a context of so many tokens."""

    facts: ModelFacts
    wishes: Wishes
    beside: Callable[[int], Beside] = lambda _: UNMEASURED


def vllm_ways(known: Known, settings: RunSettings, machine: Snapshot) -> tuple[Way, ...]:
    """Best first: with room for several conversations of full length, then for one.

    On the GPUs that vLLM can use, else on the CPU. Raises DoesNotFit.
    """
    wishes = known.wishes
    if not machine.devices:
        return tuple(_on_cpu(known, settings, machine))
    found = [
        way
        for chosen in _choices(machine.devices, wishes.gpus)
        for way in _on_gpus(known, settings, chosen)
    ]
    if not found:
        # Says what is missing on the largest one.
        list(widest(known.facts, wishes.context, partial(_plan, known, machine.devices[0])))
    return tuple(sorted(found, key=lambda way: way.rank))


def check_gpus(wishes: Wishes, machine: Snapshot) -> None:
    """Raises DoesNotFit when a model is to be divided over more GPUs than there are."""
    count = wishes.gpus
    if count > max(len(machine.devices), 1):
        there = len(machine.devices) or "none that it can use"
        raise DoesNotFit(
            f"vLLM is to use {count} GPUs, and there {'is' if there == 1 else 'are'} {there}",
            hint="lower --tensor-parallel-size, --pipeline-parallel-size, --data-parallel-size",
        )


def unplanned(settings: RunSettings, weights: int, machine: Snapshot) -> Way:
    """For a model whose shape cannot be read: a guess of what vLLM takes when it is left alone."""
    if not machine.devices:
        return Way(settings, Cost(2 * weights + CPU_PROCESSES))
    device, share = machine.devices[0], settings.gpu_memory_utilization or MAX_UTILIZATION
    chosen = replace(settings, gpu_memory_utilization=share, offload=_offload((device,), 0))
    cost = Cost(GPU_PROCESSES, devices={device.id: int(share * device.total)})
    return Way(chosen, cost, f"on {device.id}")


def _choices(devices: Sequence[Device], count: int) -> Iterator[tuple[Device, ...]]:
    """Each GPU for a model that needs one, else the largest ones together."""
    ranked = sorted(devices, key=lambda device: (-device.total, device.id))
    if count == 1:
        yield from ((device,) for device in ranked)
    else:
        yield tuple(ranked[:count])


def _on_gpus(known: Known, settings: RunSettings, devices: tuple[Device, ...]) -> Iterator[Way]:
    facts, wishes = known.facts, known.wishes
    smallest = devices[-1]
    names = " and ".join(device.id for device in devices)
    offload = _offload(devices, len(facts.layers))
    try:
        plans = list(widest(facts, wishes.context, partial(_plan, known, smallest)))
    except DoesNotFit:
        return
    for rank, plan in enumerate(plans[: 1 if wishes.utilization else None]):
        share = wishes.utilization or plan.utilization
        size = int(share * smallest.total) if wishes.utilization else plan.total
        # What a share leaves becomes cache, unless its size was told.
        left = size - plan.total if wishes.utilization and not wishes.cache else 0
        words = _words(facts, wishes, plan.context, plan.cache + left)
        host = known.beside(plan.context).host(on_cpu=False)
        yield Way(
            replace(_told(settings, wishes, plan), gpu_memory_utilization=share, offload=offload),
            Cost(host, known=True, devices={device.id: size for device in devices}),
            f"on {names}, {words}",
            rank,
        )


def _plan(known: Known, device: Device, tokens: int, requests: int) -> VllmPlan:
    wishes = known.wishes
    return plan_vllm(
        known.facts, device, context=tokens, requests=requests, split=wishes.split,
        element=wishes.element, cache=wishes.cache, beside=known.beside(tokens),
    )  # fmt: skip


def _on_cpu(known: Known, settings: RunSettings, machine: Snapshot) -> Iterator[Way]:
    facts, wishes = known.facts, known.wishes
    # On a CPU the share is one of the machine's memory, and all of it becomes cache.
    cache = int(wishes.utilization * machine.host_total) if wishes.utilization else wishes.cache

    def plan(tokens: int, requests: int) -> VllmPlan:
        return plan_vllm_on_cpu(
            facts, usable_host(machine), context=tokens, requests=requests,
            element=wishes.element, cache=cache, beside=known.beside(tokens),
        )  # fmt: skip

    for rank, found in enumerate(widest(facts, wishes.context, plan)):
        chosen = _told(settings, wishes, found)
        yield Way(
            chosen,
            Cost(found.total, known=True),
            _words(facts, wishes, found.context, found.cache),
            rank,
        )


def _told(settings: RunSettings, wishes: Wishes, plan: VllmPlan) -> RunSettings:
    if wishes.context is None:
        settings = replace(settings, context_size=plan.context)
    if wishes.utilization or not plan.cache:
        return settings
    return replace(settings, cache_bytes=plan.cache)


def _words(facts: ModelFacts, wishes: Wishes, context: int, cache: int) -> str:
    count = conversations(facts, context, cache, split=wishes.split, element=wishes.element)
    if not count:
        return f"for texts of {context} tokens"
    return f"room for {count} conversation{'s' * (count > 1)} of {context} tokens"


def _offload(devices: tuple[Device, ...], layers: int) -> Offload:
    return Offload(tuple((device.id, layers) for device in devices))


def is_readable(facts: ModelFacts) -> bool:
    """Whether its shape is known, so that its cache can be computed."""
    return cache_per_token(facts) > 0 or not facts.causal
