"""May a runner start, and what must go first? Pure: asked speculatively, changes nothing."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from stoker.base.errors import StokerError
from stoker.planner.spec import Way
from stoker.scheduler import policy, refusals
from stoker.scheduler.events import RunnerKey, RunnerState, RunRequest
from stoker.scheduler.ledger import Charges, Ledger
from stoker.scheduler.runner import Runner


@dataclass(frozen=True, slots=True)
class Begin:
    """There is room to run it this way."""

    way: Way


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """These are to be stopped first. `charges`: what is kept free for it from then on."""

    victims: tuple[RunnerKey, ...]
    charges: Charges


@dataclass(frozen=True, slots=True)
class Wait:
    """Others are on their way out, or in use where something is `missing` even then."""

    charges: Charges
    missing: Charges


@dataclass(frozen=True, slots=True)
class TurnAway:
    """It never can, as things are."""

    error: StokerError


Verdict = Begin | MakeRoom | Wait | TurnAway


@dataclass(frozen=True, slots=True)
class Admission:
    """The runners as they are; those in `spared` are not to be stopped.

    `ledger` also counts what is kept free for those who waited longer. `dwell`: seconds that a
    runner stays for somebody to use it.
    """

    ledger: Ledger
    runners: Mapping[RunnerKey, Runner]
    spared: AbstractSet[RunnerKey]
    now: float
    dwell: float

    def verdict(self, request: RunRequest, *, patient: bool) -> Verdict:
        """What to do about this request now.

        The best way that is possible beside what is kept for ever is worth stopping idle runners,
        and worth a wait for busy ones; once not `patient` any more, a lesser way is taken.
        """
        if not self.ledger.missing(self.ledger.charges(request.cost)):
            return Begin(request.ways[0])
        pinned = [key for key, runner in self.runners.items() if runner.pinned]
        possible = [way for way in request.ways if self._possible(way, pinned)]
        if not possible:
            return TurnAway(self._refusal(request, pinned))
        alike = [way for way in possible if way.rank == possible[0].rank]
        best = min(map(self._try, alike), key=self._trouble)
        lesser = iter(() if patient else possible[len(alike) :])
        verdict = best
        while isinstance(verdict, Wait) and verdict.missing and (way := next(lesser, None)):
            verdict = self._try(way)
        return best if isinstance(verdict, Wait) else verdict

    def _trouble(self, verdict: Verdict) -> tuple[int, float]:
        """Room that is there or on its way comes first, then that of whom nobody misses."""
        match verdict:
            case Begin():
                return 0, 0
            case Wait() if not verdict.missing:
                return 1, 0
            case MakeRoom():
                return 2, max(self.runners[key].idle_since for key in verdict.victims)
            case _:
                return 3, 0

    def _possible(self, way: Way, pinned: Sequence[RunnerKey]) -> bool:
        # A guess may exceed the budget alone: it is only a guess, and the user asked for it.
        if not way.cost.known and not pinned:
            return True
        return not self.ledger.lacking(self.ledger.charges(way.cost), pinned)

    def _try(self, way: Way) -> Verdict:
        charges = self.ledger.charges(way.cost)
        missing = self.ledger.missing(charges)
        if not missing or not self.ledger.held:
            return Begin(way)
        held = self.ledger.held
        leaving = self._leaving
        still = {
            memory: short
            for memory, size in missing.items()
            if (short := size - sum(held[key].get(memory, 0) for key in leaving)) > 0
        }
        if not still or len(leaving) == len(held):
            return Wait(charges, {})
        candidates = self._candidates
        chosen = policy.victims(candidates, held, still)
        if chosen is None and self.ledger.lacking(charges):
            chosen = candidates  # a guess that is larger than the budget wants all of it
        return MakeRoom(chosen, charges) if chosen else Wait(charges, still)

    @property
    def _candidates(self) -> tuple[RunnerKey, ...]:
        """Those that may be stopped, least recently used first."""
        idle = [
            (runner.idle_since, number, key)
            for number, (key, runner) in enumerate(self.runners.items())
            if runner.idle
            and not runner.pinned
            and key not in self.spared
            and (runner.served or self.now - runner.since >= self.dwell)
        ]
        return tuple(key for _, _, key in sorted(idle))

    @property
    def _leaving(self) -> Sequence[RunnerKey]:
        runners = self.runners.items()
        return [key for key, runner in runners if runner.state is RunnerState.STOPPING]

    def _refusal(self, request: RunRequest, pinned: Sequence[RunnerKey]) -> StokerError:
        """About the way that wants least: the last one."""
        charges = self.ledger.charges(request.ways[-1].cost)
        if alone := self.ledger.lacking(charges):
            return refusals.too_large(request, charges, alone, self.ledger)
        lacking = self.ledger.lacking(charges, pinned)
        keepers = [
            self.runners[key].request.model.name
            for key in pinned
            if lacking.keys() & self.ledger.held[key].keys()
        ]
        return refusals.kept_for_ever(request, charges, lacking, keepers)
