"""How a model can be run, and what that costs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from stoker.base.errors import DoesNotFit
from stoker.engines.llamacpp_options import is_planned, options_of, policy_of, settled
from stoker.engines.vllm import NAME as VLLM
from stoker.engines.vllm_options import VllmOptions, given_flags, wishes_of
from stoker.formats import ModelFacts
from stoker.library.facts import FactsReader
from stoker.library.measured import Sizes
from stoker.library.measured_vllm import beside_of
from stoker.library.second_opinion import SecondOpinion
from stoker.library.settings import SettingsKey, SettingsStore
from stoker.library.vllm_ways import Known, check_gpus, is_readable, unplanned, vllm_ways
from stoker.oci.digest import Digest
from stoker.planner.devices import HOST, Snapshot
from stoker.planner.estimate import PROCESS_BYTES
from stoker.planner.fit import GpuPolicy, Placement
from stoker.planner.ladder import Rung, ladder
from stoker.planner.options import Options
from stoker.planner.spec import Cost, Mode, ModelSpec, RunSettings, Way
from stoker.planner.vllm import Beside

# Keys, values and buffers in proportion to the weights, for models without readable facts.
_CONTEXT_SHARE: Final = 0.15
_MOST_PLANS: Final = 512

_K = TypeVar("_K")
_V = TypeVar("_V")
_Key = tuple[Digest, Options, GpuPolicy, Snapshot]


@dataclass(frozen=True, slots=True)
class Planned:
    """A way of llama.cpp, and what it was computed with."""

    way: Way
    placement: Placement
    options: Options


@dataclass(frozen=True, slots=True)
class _Answer:
    """The same question is asked by every request to a model."""

    machine: Snapshot
    settings: RunSettings
    ways: tuple[Way, ...]


class RunPlanner:
    """Settings and memory of a run. `machine`: as an engine sees it when nothing runs.

    `measured`: what a model took last time; `opinion`: corrects what is planned for GPUs.
    """

    def __init__(
        self,
        settings: SettingsStore,
        facts: FactsReader,
        *,
        machine: Callable[[str], Awaitable[Snapshot]],
        measured: Callable[[ModelSpec, Options | VllmOptions], Sizes | None] = lambda _, __: None,
        opinion: SecondOpinion | None = None,
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._machine = machine
        self._measured = measured
        self._opinion = opinion
        self._rungs: dict[_Key, tuple[Rung, ...]] = {}
        self._answers: dict[tuple[str, Digest, Mode], _Answer] = {}

    def settings(self, engine: str, model: ModelSpec, mode: Mode) -> RunSettings:
        """What `configure` set for this model in this mode."""
        return self._settings.of(SettingsKey(engine, model.id, mode))

    async def ways(
        self, engine: str, model: ModelSpec, mode: Mode, settings: RunSettings
    ) -> tuple[Way, ...]:
        """How it can be run, best first: the settings, completed by where its layers go and by the
        context where that is open, and what it then takes.

        Raises DoesNotFit when even the empty machine is too small, InvalidSetting.
        """
        machine = await self._machine(engine)
        key = (engine, model.id, mode)
        answers = self._answers
        last = answers.get(key)
        if last and last.machine is machine and last.settings == settings:
            return last.ways
        ways = await self._ways(engine, model, mode, settings)
        _remember(answers, key, _Answer(machine, settings, ways))
        return ways

    async def _ways(
        self, engine: str, model: ModelSpec, mode: Mode, settings: RunSettings
    ) -> tuple[Way, ...]:
        facts = await self._facts.facts(model)
        if engine == VLLM:
            return await self.with_vllm(model, facts, settings)
        if facts is None:
            guess = int(model.weights_size * (1 + _CONTEXT_SHARE)) + PROCESS_BYTES
            return (Way(settings, Cost(guess)),)
        return tuple(one.way for one in await self.planned(engine, model, facts, mode, settings))

    async def planned(
        self,
        engine: str,
        model: ModelSpec,
        facts: ModelFacts,
        mode: Mode,
        settings: RunSettings,
        *,
        here: bool = True,
    ) -> tuple[Planned, ...]:
        """The ways of llama.cpp, as `ways` has them. Raises as it does.

        Of a model that is not `here`, or in another quantization only, by its facts alone: nothing
        was measured of it, and the engine cannot be asked.
        """
        machine = await self._machine(engine)
        settings = settled(settings, facts.context_size)
        options, policy = options_of(model, mode, settings), policy_of(settings)
        place = partial(_ladder, model.name, facts, machine, options, policy)
        key = (model.id, options, policy, machine)
        rungs = await (self._placed(key, place) if here else asyncio.to_thread(place))
        # Whoever divides a model by flags of his own has one way only, and the engine's own.
        divided = bool(machine.devices) and is_planned(settings)
        found = tuple(
            self._planned(model, settings, options, rung, divided=divided, here=here)
            for rung in (rungs if divided else rungs[:1])
        )
        if not (here and divided and self._opinion):
            return found
        ways = await self._opinion(model, mode, tuple(one.way for one in found), machine)
        # Of the best ones some may be gone.
        left = found[len(found) - len(ways) :]
        return tuple(replace(one, way=way) for one, way in zip(left, ways, strict=True))

    async def with_vllm(
        self, model: ModelSpec, facts: ModelFacts | None, settings: RunSettings
    ) -> tuple[Way, ...]:
        """The ways of vLLM, as `ways` has them, here or not. Raises as it does."""
        machine = await self._machine(VLLM)
        try:
            check_gpus(wishes_of(model, settings, on_cpu=not machine.devices), machine)
            if facts is None or not is_readable(facts):
                return (unplanned(settings, model.weights_size, machine),)
            return vllm_ways(self.known(model, facts, settings, machine), settings, machine)
        except DoesNotFit as error:
            raise DoesNotFit(f"{model.name}: {error.message}", hint=error.hint) from error

    def known(
        self, model: ModelSpec, facts: ModelFacts, settings: RunSettings, machine: Snapshot
    ) -> Known:
        """What vLLM is planned with. Raises InvalidSetting."""
        wishes = wishes_of(model, settings, on_cpu=not machine.devices)
        gpus = wishes.gpus if machine.devices else 0
        flags = given_flags(settings)

        def beside(tokens: int) -> Beside:
            return beside_of(self._measured(model, VllmOptions(tokens, flags, gpus)))

        return Known(facts, wishes, beside)

    def forget(self) -> None:
        """Something was measured anew. What is asked on every request must not ask the disk."""
        self._answers = {}  # another one: what is being worked out now is not remembered

    async def _placed(self, key: _Key, place: Callable[[], tuple[Rung, ...]]) -> tuple[Rung, ...]:
        """Remembered: a plan costs milliseconds, a request to a loaded model must not."""
        if (found := self._rungs.get(key)) is None:
            found = await asyncio.to_thread(place)
            _remember(self._rungs, key, found)
        return found

    def _planned(
        self,
        model: ModelSpec,
        settings: RunSettings,
        options: Options,
        rung: Rung,
        *,
        divided: bool,
        here: bool,
    ) -> Planned:
        placement = rung.placement
        if options.context is None:
            options = replace(options, context=placement.context)
            settings = replace(settings, context_size=placement.context)
        if divided:
            options = replace(options, offload=placement.offload)
            settings = replace(settings, offload=placement.offload)
        taken = self._measured(model, options) if here else None
        cost = _cost(placement, taken or {})
        words = _words(placement) if divided else ""
        return Planned(Way(settings, cost, words, rung.rank), placement, options)


def _ladder(
    name: str, facts: ModelFacts, machine: Snapshot, options: Options, policy: GpuPolicy
) -> tuple[Rung, ...]:
    """Raises DoesNotFit that names the model."""
    try:
        return ladder(facts, machine, options=options, policy=policy)
    except DoesNotFit as error:
        raise DoesNotFit(f"{name}: {error.message}", hint=error.hint) from error


def _remember(known: dict[_K, _V], key: _K, value: _V) -> None:
    known[key] = value
    if len(known) > _MOST_PLANS:
        known.pop(next(iter(known)))


def _words(placement: Placement) -> str:
    if not placement.gpu_layers:
        return "all on the CPU"
    where = " and ".join(share.device for share in placement.shares)
    text = f"{placement.gpu_layers} of {len(placement.estimate.layers)} layers on {where}"
    if placement.host_experts:
        text += f", experts of {placement.host_experts} in host memory"
    return text


def _cost(placement: Placement, taken: Sizes) -> Cost:
    """What the ledger counts, with what was measured in place of what was computed.

    On the host, weights stay computed: the log counts the mapped file and its repacked copy.
    """
    if placement.shares:
        devices = {share.device: share.bytes for share in placement.shares}
        if not placement.estimate.extra_weights:  # the log does not tell of a projector
            devices |= {d: sum(kinds.values()) for d, kinds in taken.items() if d in devices}
        return Cost(placement.host_bytes, known=True, devices=devices)
    estimate = placement.estimate
    computed = {
        "cache": estimate.cache,
        "compute": estimate.compute,
        "output": estimate.output,
    }
    here = taken.get(HOST, {})
    more = sum(here.get(kind, size) - size for kind, size in computed.items())
    return Cost(placement.host_bytes + more, known=True)
