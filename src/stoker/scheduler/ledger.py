"""Who holds how much of which memory: the host's and each GPU's. A pure value; sizes in bytes."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from stoker.planner.devices import HOST, Device, DeviceKind
from stoker.planner.room import usable
from stoker.planner.spec import Cost
from stoker.scheduler.events import RunnerKey

Charges = Mapping[str, int]
"""Bytes by memory: `host`, and GPUs by their ids."""


def _nothing() -> Charges:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """`budgets`: what all runners together may have of a memory when nobody else is there.

    A GPU that uses the host's memory (`shared`) is charged to both: it has a limit of its own, and
    what it takes the host has not.
    """

    budgets: Charges
    shared: frozenset[str] = frozenset()
    strangers: Charges = field(default_factory=_nothing)
    """What others hold of each budget, as last seen."""
    held: Mapping[RunnerKey, Charges] = field(default_factory=lambda: MappingProxyType({}))
    used: Charges = field(default_factory=_nothing)
    """The sum over all runners."""
    overhead: int = 0
    """What a process may hold of a GPU beside what it is entered with: its driver's context. It is
    not taken for somebody else's."""

    def limit(self, memory: str) -> int:
        """What all runners together may have of it now; 0 of a GPU that is not there."""
        return max(self.budgets.get(memory, 0) - self.strangers.get(memory, 0), 0)

    def left(self, memory: str) -> int:
        """What of it is free for another runner."""
        return max(self.limit(memory) - self.used.get(memory, 0), 0)

    def charges(self, cost: Cost) -> Charges:
        """What a runner of this cost is entered with, the host last."""
        if not cost.devices:
            return {HOST: cost.memory}
        borrowed = sum(size for device, size in cost.devices.items() if device in self.shared)
        return {**cost.devices, HOST: cost.memory + borrowed}

    def missing(self, charges: Charges) -> Charges:
        """Where a further runner lacks how much; empty when it fits beside all others."""
        return self._over(charges, self.used)

    def lacking(self, charges: Charges, beside: Iterable[RunnerKey] = ()) -> Charges:
        """The same if only the runners `beside` were there."""
        used: dict[str, int] = {}
        for key in beside:
            _add(used, self.held[key])
        return self._over(charges, used)

    def entered(self, key: RunnerKey, charges: Charges) -> "Ledger":
        """With one runner more."""
        used = dict(self.used)
        _add(used, charges)
        return replace(self, held={**self.held, key: charges}, used=used)

    def keeping_free(self, charges: Charges) -> "Ledger":
        """With this much less left for others."""
        used = dict(self.used)
        _add(used, charges)
        return replace(self, used=used)

    def without(self, key: RunnerKey) -> "Ledger":
        """With one runner less."""
        held = dict(self.held)
        gone = held.pop(key)
        used = {memory: size - gone.get(memory, 0) for memory, size in self.used.items()}
        return replace(self, held=held, used=used)

    def with_room(self, room: int) -> "Ledger":
        """Host memory that all runners together may have now: what is free and what they hold."""
        others = max(self.budgets[HOST] - room, 0)
        if others == self.strangers.get(HOST, 0):
            return self
        return replace(self, strangers={**self.strangers, HOST: others})

    def with_devices(
        self, devices: Iterable[Device], *, steady: Iterable[RunnerKey], moving: AbstractSet[str]
    ) -> "Ledger":
        """With these GPUs, and what others hold of them.

        `steady`: runners that hold what they are entered with. Where something of ours is `moving`
        in or out, its bytes cannot be told from those of others: there, what others hold is only
        believed to shrink.
        """
        budgets = {HOST: self.budgets[HOST]}
        strangers = {HOST: self.strangers.get(HOST, 0)}
        mine: dict[str, int] = {}
        for key in steady:
            _add(mine, self.held[key])
            _add(mine, dict.fromkeys(self.held[key], self.overhead))
        shared = set()
        for device in devices:
            others = max(device.total - device.free - mine.get(device.id, 0), 0)
            if device.id in moving:
                others = min(others, self.strangers.get(device.id, others))
            budgets[device.id] = usable(replace(device, free=device.total))
            strangers[device.id] = others
            if device.kind is DeviceKind.SHARED:
                shared.add(device.id)
        return replace(self, budgets=budgets, strangers=strangers, shared=frozenset(shared))

    def _over(self, charges: Charges, used: Charges) -> Charges:
        over = {}
        for memory, size in charges.items():
            short = used.get(memory, 0) + size - self.limit(memory)
            if short > 0:
                over[memory] = short
        return over


def _add(sums: dict[str, int], charges: Charges) -> None:
    for memory, size in charges.items():
        sums[memory] = sums.get(memory, 0) + size
