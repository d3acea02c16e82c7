"""One walk along the queue: who is granted a runner, who starts one, who waits. Pure but for the
queue and the roster that it walks.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import final

from stoker.base.errors import StokerError
from stoker.scheduler.admission import Admission, Begin, MakeRoom, TurnAway, Verdict, Wait
from stoker.scheduler.events import Effect, Refuse, RunnerKey, Ticket
from stoker.scheduler.queue import Queue, Waiting
from stoker.scheduler.roster import Roster
from stoker.scheduler.trouble import Troubles


@final
class Line:
    """Those who wait, in order of who waits longest for each runner.

    What somebody in front waits for is kept free: whoever fits beside that need not wait. After
    `patience` seconds the runners that hold it get no new work from those behind.
    """

    def __init__(
        self, queue: Queue, roster: Roster, troubles: Troubles, *, patience: float, dwell: float
    ) -> None:
        self._queue = queue
        self._roster = roster
        self._troubles = troubles
        self._patience = patience
        self._dwell = dwell
        self._ledger = roster.ledger
        """Also counts what is kept free."""
        self._ahead: set[RunnerKey] = set()
        self._closed: set[RunnerKey] = set()
        self._waits = False

    def serve(self, now: float) -> Iterator[Effect]:
        """Grant, start, make room, refuse."""
        for key in self._queue.keys:
            runner = self._roster.runners.get(key)
            if runner is None:
                yield from self._admit(key, now)
            elif runner.open and key not in self._closed:
                for ticket, _ in self._queue.of(key):
                    self._queue.remove(ticket)
                    yield self._roster.grant(key, ticket)
            self._ahead.add(key)

    def _admit(self, key: RunnerKey, now: float) -> Iterator[Effect]:
        """Whoever waits longest for this runner starts it; those who cannot are turned away."""
        for ticket, waiting in self._queue.of(key):
            held = self._troubles.holding(waiting.request, now)
            if held is None:
                verdict = self._verdict(waiting, now)
                if not isinstance(verdict, TurnAway):
                    yield from self._carry_out(waiting, verdict, now)
                    return
                yield self._refuse(ticket, verdict.error)
            elif held.error:
                yield self._refuse(ticket, held.error)

    def _verdict(self, waiting: Waiting, now: float) -> Verdict:
        patient = now - waiting.since < self._patience
        spared: AbstractSet[RunnerKey] = self._ahead
        if self._waits:
            spared = self._roster.runners.keys()  # room is made for one at a time
        elif patient:
            spared = frozenset(self._queue.keys)
        asked = Admission(self._ledger, self._roster.runners, spared, now, self._dwell)
        verdict = asked.verdict(waiting.open, patient=patient)
        if isinstance(verdict, Wait) and not patient and not self._waits:
            self._closed = self._roster.holders(verdict.missing.keys())
        return verdict

    def _carry_out(
        self, waiting: Waiting, verdict: Begin | MakeRoom | Wait, now: float
    ) -> Iterator[Effect]:
        if isinstance(verdict, Begin):
            yield self._roster.start(waiting, verdict.way, now)
            key = waiting.request.key
            self._ledger = self._ledger.entered(key, self._roster.ledger.held[key])
            return
        self._waits = True
        self._ledger = self._ledger.keeping_free(verdict.charges)
        if isinstance(verdict, MakeRoom):
            why = f"{waiting.request.model.name} needs its memory, and it was used least recently"
            for key in verdict.victims:
                yield self._roster.stop(key, why, now)

    def _refuse(self, ticket: Ticket, error: StokerError) -> Refuse:
        self._queue.remove(ticket)
        return Refuse(ticket, error)
