"""All the ways to place a model that are worth having, best first. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.formats.facts import ModelFacts
from stoker.planner.devices import Device, Snapshot
from stoker.planner.fit import GpuPolicy, Placement, place
from stoker.planner.options import Options
from stoker.planner.room import usable

_SHARES: Final = (1.0, 0.75, 0.5, 0.25)
"""Of what a model would take of GPUs, when the rest is in use: finer steps gain little."""


@dataclass(frozen=True, slots=True)
class Rung:
    """`rank`: placements of the same one are equally good, of a higher one less."""

    placement: Placement
    rank: int


def ladder(
    facts: ModelFacts,
    machine: Snapshot,
    *,
    options: Options,
    policy: GpuPolicy = GpuPolicy.PREFERRED,
) -> tuple[Rung, ...]:
    """Placements for when others are in the way.

    The best on the empty `machine`; where one GPU holds all of it, the same on each other one; and
    unless a GPU is required, with fewer layers on GPUs and last with none. A number of layers that
    somebody chose is not lowered. Raises DoesNotFit as `place` does.
    """
    best = place(facts, machine, options=options, policy=policy)
    rungs = [Rung(best, 0)]
    if not best.gpu_layers:
        return tuple(rungs)
    if best.whole and len(best.shares) == 1:
        others = [d for d in machine.devices if d.id != best.shares[0].device]
        fixed = replace(options, context=best.context)
        for device in others:
            alike = _tried(facts, machine, (device,), fixed, GpuPolicy.REQUIRED)
            rungs += [Rung(found, 0) for found in alike]
    if policy is GpuPolicy.PREFERRED and options.gpu_layers is None:
        lesser = _lesser(facts, machine, options, sum(share.bytes for share in best.shares))
        known = {rung.placement.offload for rung in rungs}
        for found in sorted(lesser, key=_goodness, reverse=True):
            if found.offload not in known:
                known.add(found.offload)
                rungs.append(Rung(found, len(rungs)))
    return tuple(rungs)


def _lesser(
    facts: ModelFacts, machine: Snapshot, options: Options, whole: int
) -> Iterator[Placement]:
    """On all GPUs together and on each one alone. `whole`: bytes that the best one takes."""
    sets = [machine.devices, *((device,) for device in machine.devices)]
    for devices in sets if len(machine.devices) > 1 else sets[:1]:
        for share in _SHARES:
            shrunk = (_shrunk(device, int(share * whole)) for device in devices)
            yield from _tried(facts, machine, shrunk, options, GpuPolicy.PREFERRED)
    yield from _tried(facts, machine, (), options, GpuPolicy.NEVER)


def _shrunk(device: Device, most: int) -> Device:
    spare = max(usable(device) - most, 0)
    return replace(device, free=device.free - spare)


def _tried(
    facts: ModelFacts,
    machine: Snapshot,
    devices: Iterable[Device],
    options: Options,
    policy: GpuPolicy,
) -> Iterator[Placement]:
    try:
        fewer = replace(machine, devices=tuple(devices))
        yield place(facts, fewer, options=options, policy=policy)
    except DoesNotFit:
        return


def _goodness(placement: Placement) -> tuple[int, int, int]:
    return placement.gpu_layers, -placement.host_experts, -len(placement.shares)
