"""How a model will be run, and what that costs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.engines.llamacpp_options import options_of, planned, policy_of
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.measured import HOST
from stoker.formats import ModelFacts
from stoker.library.facts import FactsReader
from stoker.library.measured import Sizes
from stoker.library.settings import SettingsKey, SettingsStore
from stoker.oci.digest import Digest
from stoker.planner.devices import Device, Snapshot
from stoker.planner.estimate import PROCESS_BYTES, Options
from stoker.planner.fit import HOST_MARGIN, GpuPolicy, Placement, place
from stoker.planner.spec import Cost, Mode, ModelSpec, RunSettings

# Keys, values and buffers in proportion to the weights, for models without readable facts.
_CONTEXT_SHARE: Final = 0.15
_MOST_PLANS: Final = 512

_Key = tuple[Digest, Options, GpuPolicy]


class RunPlanner:
    """Settings and memory of a run. `budget`: bytes of host memory that all models may use.

    `devices`: the GPUs the engine can use, asked again when `changes` grows, the number of times
    that engines were installed or removed; `measured`: what a model took last time.
    """

    def __init__(
        self,
        settings: SettingsStore,
        facts: FactsReader,
        *,
        budget: int,
        devices: Callable[[], Awaitable[tuple[Device, ...]]] | None = None,
        changes: Callable[[], int] = lambda: 0,
        measured: Callable[[ModelSpec, Options], Sizes | None] = lambda _, __: None,
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._budget = budget
        self._devices = devices
        self._measured = measured
        self._changes = changes
        self._machine: tuple[int, Snapshot] | None = None
        self._plans: dict[_Key, Placement] = {}
        self._costs: dict[_Key, Cost] = {}

    def settings(self, engine: str, model: ModelSpec, mode: Mode) -> RunSettings:
        """What `configure` set for this model in this mode."""
        return self._settings.of(SettingsKey(engine, model.id, mode))

    async def cost(
        self, engine: str, model: ModelSpec, mode: Mode, settings: RunSettings
    ) -> tuple[RunSettings, Cost]:
        """What it takes, and the settings with which it does: where its layers go, and the context
        where that is open.

        Raises DoesNotFit when even the empty machine is too small, InvalidSetting.
        """
        facts = await self._facts.facts(model) if engine == LLAMACPP else None
        if facts is None:
            guess = int(model.weights_size * (1 + _CONTEXT_SHARE)) + PROCESS_BYTES
            return settings, Cost(guess)
        options = options_of(model, mode, settings)
        machine = await self._empty_machine()
        policy = policy_of(settings)
        placement = self._placement(
            (model.id, options, policy),
            lambda: self._place(model, facts, options, machine, policy),
        )
        if options.context is None:
            settings = replace(settings, context_size=placement.context)
        if machine.devices and planned(settings):
            settings = replace(settings, offload=placement.offload)
        options = options_of(model, mode, settings)
        key = (model.id, options, policy)
        cost = self._costs.get(key)
        if cost is None:
            taken = (self._measured(model, options) or {}).get(HOST)
            cost = _cost(placement, taken)
            self._costs[key] = cost
            if len(self._costs) > _MOST_PLANS:
                self._costs.pop(next(iter(self._costs)))
        return settings, cost

    def forget_costs(self) -> None:
        """Something was measured anew. What is asked on every request must not ask the disk."""
        self._costs.clear()

    def _placement(self, key: _Key, find: Callable[[], Placement]) -> Placement:
        """Remembered: a plan costs milliseconds, a request to a loaded model must not."""
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = find()
            if len(self._plans) > _MOST_PLANS:
                self._plans.pop(next(iter(self._plans)))
        return found

    async def _empty_machine(self) -> Snapshot:
        """As if nothing ran: what does not fit there is refused for good."""
        changes = self._changes()
        if self._machine is None or self._machine[0] != changes:
            found = await self._devices() if self._devices else ()
            machine = Snapshot(
                host_total=self._budget,
                host_free=self._budget + HOST_MARGIN,
                devices=tuple(replace(device, free=device.total) for device in found),
            )
            self._machine = changes, machine
            self._plans.clear()
            self._costs.clear()
        return self._machine[1]

    @staticmethod
    def _place(
        model: ModelSpec,
        facts: ModelFacts,
        options: Options,
        machine: Snapshot,
        policy: GpuPolicy,
    ) -> Placement:
        try:
            return place(facts, machine, options=options, policy=policy)
        except DoesNotFit as error:
            raise DoesNotFit(f"{model.name}: {error.message}", hint=error.hint) from error


def _cost(placement: Placement, taken: Mapping[str, int] | None) -> Cost:
    """What the ledger counts, with what was measured on the CPU in place of what was computed.

    The ledger knows one memory, the host's. Until it has one for each device, what lies on GPUs is
    counted too, as a guess: models that share a GPU then make room for each other, and none is
    refused for it. Weights stay computed: the log counts the mapped file and its repacked copy.
    """
    if placement.gpu_layers:
        return Cost(placement.host_bytes + sum(share.bytes for share in placement.shares))
    if not taken:
        return Cost(placement.host_bytes, known=True)
    estimate = placement.estimate
    computed = {
        "cache": estimate.cache,
        "compute": estimate.compute,
        "output": estimate.output,
    }
    more = sum(taken.get(kind, size) - size for kind, size in computed.items())
    return Cost(placement.host_bytes + more, known=True)
