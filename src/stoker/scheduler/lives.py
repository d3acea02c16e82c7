"""What happens to runners by themselves: they load, become ready, fail, die and go.

Pure but for the roster, the queue and the troubles that it keeps up to date.
"""

from collections.abc import Iterable, Iterator
from typing import Final, assert_never, final

from stoker.base import errors
from stoker.scheduler import refusals
from stoker.scheduler.events import (
    AboutToLoad,
    Died,
    Effect,
    Exited,
    LaunchFailed,
    Refuse,
    RunnerState,
    Started,
)
from stoker.scheduler.queue import Queue
from stoker.scheduler.roster import Roster
from stoker.scheduler.trouble import Troubles

_OUT_OF_MEMORY: Final = "out_of_memory"
"""Of `engines/spec.Reason`, which does more than this module may."""

Lived = AboutToLoad | Started | LaunchFailed | Died | Exited


@final
class Lives:
    """Takes note when a runner has come further. News of an earlier life of it change nothing."""

    def __init__(self, roster: Roster, queue: Queue, troubles: Troubles) -> None:
        self._roster = roster
        self._queue = queue
        self._troubles = troubles

    def note(self, event: Lived, now: float) -> Iterable[Effect]:
        """What is to be done about it, in order."""
        match event:
            case AboutToLoad():
                return self._check(event, now)
            case Started():
                self._started(event, now)
            case LaunchFailed():
                return self._failed(event, now)
            case Died():
                self._died(event, now)
            case Exited():
                self._exited(event, now)
            case _:
                assert_never(event)
        return ()

    def _check(self, event: AboutToLoad, now: float) -> Iterator[Effect]:
        """The plan may have been overtaken by another program; then it is decided anew."""
        runner = self._roster.current(event.key, event.generation)
        if not runner or runner.state is not RunnerState.LOADING:
            return
        runner.loads = True
        if not runner.way.cost.known:
            return
        held = self._roster.ledger.held[event.key]
        if over := self._roster.ledger.missing(dict.fromkeys(held, 0)):
            why = f"another program took {refusals.sizes(over)} meanwhile"
            yield self._roster.stop(event.key, why, now)

    def _started(self, event: Started, now: float) -> None:
        runner = self._roster.current(event.key, event.generation)
        if runner and runner.state is RunnerState.LOADING:
            runner.becomes(RunnerState.READY, now)
            self._troubles.started(event.key)

    def _failed(self, event: LaunchFailed, now: float) -> Iterator[Effect]:
        runner = self._roster.current(event.key, event.generation)
        if not runner:
            return
        self._roster.forget(event.key, now)
        waiting = [ticket for ticket, _ in self._queue.of(event.key)]
        if isinstance(event.error, errors.LaunchFailed) and event.error.reason == _OUT_OF_MEMORY:
            # The estimate was too low: whoever can be served with less is.
            rank = runner.way.rank
            waiting = [t for t in waiting if not self._queue.settle_for_less(t, rank)]
        if not self._queue.count(event.key) or waiting:
            self._troubles.failed(runner.request, event.error, now)
        for ticket in waiting:
            self._queue.remove(ticket)
            yield Refuse(ticket, event.error)

    def _died(self, event: Died, now: float) -> None:
        # The holders find out by their broken connection; their later Released is harmless.
        runner = self._roster.current(event.key, event.generation)
        if runner and runner.state is RunnerState.READY:
            self._troubles.crashed(runner.request, now, lived=now - runner.since)
            runner.becomes(RunnerState.STOPPING, now)

    def _exited(self, event: Exited, now: float) -> None:
        if self._roster.current(event.key, event.generation):
            self._roster.forget(event.key, now)
