"""The scheduler's core: a pure state machine over events and time. Everything that decides is here.

    handle(event, now) -> effects          no clock, no task, no process, no I/O

A runner is LOADING, READY or STOPPING. A request is queued until its runner is READY, then granted;
it holds the runner until it is released. Rules:

* A load is joined, never doubled, and it outlives whoever asked first.
* A runner in use is never stopped to make room.
* Memory is a ledger for each device: the sum over all runners, also those that still load or stop,
  stays within the budget and within what strangers leave; only a runner whose size is a guess may
  exceed it, alone. One whose size is known is refused then.
* Runners kept for ever are not evicted: what can never fit beside them is refused at once.
* A runner that became ready and served nobody yet is not evicted for `dwell` seconds.
* What runs out of memory while it loads is loaded with less, if there is such a way.
* What fails to start again and again is tried less and less often (`trouble`); a wait has a limit.
* Runners are started in the order they were asked for: whoever waits for memory has it kept free,
  and who fits beside that need not wait. Whoever needs no memory is served at once, unless somebody
  in front has waited for memory for `patience` seconds: then the runners that hold it get no new
  work until they can be stopped (no starvation by a busy neighbour).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never

from stoker.planner.devices import HOST, Device
from stoker.planner.spec import FOREVER
from stoker.scheduler import refusals
from stoker.scheduler.events import (
    AboutToLoad,
    Died,
    DrainAsked,
    Effect,
    Event,
    Exited,
    LaunchFailed,
    Refuse,
    Released,
    Requested,
    RunnerKey,
    Started,
    Ticket,
    TimePassed,
    UnloadAsked,
)
from stoker.scheduler.ledger import Ledger
from stoker.scheduler.line import Line
from stoker.scheduler.lives import Lives
from stoker.scheduler.queue import Queue, Waiting
from stoker.scheduler.roster import Roster
from stoker.scheduler.runner import Runner
from stoker.scheduler.trouble import Troubles

DEFAULT_QUEUE: Final = 512
"""Waiting requests before new ones are turned away: far above what one machine can answer soon."""
DEFAULT_PATIENCE: Final = 20.0
"""Seconds a request waits for memory before its neighbours stop getting new work."""
DEFAULT_WAIT: Final = 900.0
"""Seconds a request waits at most; longer than the longest load."""
DEFAULT_DWELL: Final = 10.0
"""Seconds a loaded model stays for somebody to use it, when whoever asked for it has left."""


class Core:
    """State and rules. One owner calls `handle`.

    `memory_budget`: bytes of host memory; `gpu_overhead`: what a process may hold of a GPU beside
    what its model is planned with.
    """

    def __init__(
        self,
        *,
        memory_budget: int,
        gpu_overhead: int = 0,
        queue_limit: int = DEFAULT_QUEUE,
        patience: float = DEFAULT_PATIENCE,
        wait: float = DEFAULT_WAIT,
        dwell: float = DEFAULT_DWELL,
    ) -> None:
        self.roster = Roster(Ledger(budgets={HOST: memory_budget}, overhead=gpu_overhead))
        self.queue_limit = queue_limit
        self.patience = patience
        self.wait = wait
        self.dwell = dwell
        self.draining = False
        self._queue = Queue()
        self._troubles = Troubles()
        self._lives = Lives(self.roster, self._queue, self._troubles)

    def handle(self, event: Event, now: float, room: int | None = None) -> list[Effect]:
        """Take note of what happened; answer what is to be done, in order.

        `room`: bytes of host memory that all runners together may have now, by what other programs
        hold; None when nobody looked.
        """
        if room is not None:
            self.roster.ledger = self.ledger.with_room(room)
        effects = list(self._note(event, now))
        effects += self.roster.stop_idle(self._queue.count, now)
        if self._queue:
            line = Line(
                self._queue, self.roster, self._troubles, patience=self.patience, dwell=self.dwell
            )
            effects += line.serve(now)
            for ticket, late in self._queue.overdue(now):
                error = refusals.waited_too_long(late.request, now - late.since)
                effects.append(Refuse(ticket, error))
        return effects

    def see(self, devices: tuple[Device, ...], since: float) -> None:
        """The GPUs that engines can use, and what is free of them, by a look begun at `since`.

        Decides nothing: it is for the next event.
        """
        self.roster.see(devices, since)

    def next_deadline(self, now: float) -> float | None:
        """When `handle(TimePassed())` is due, if nothing else happens before."""
        times = [runner.expires for runner in self.runners.values()]
        if self._queue:
            times += self._turns(now)
        # What is due already has been dealt with, or waits for something other than time.
        return min((t for t in times if now < t < FOREVER), default=None)

    def _turns(self, now: float) -> list[float]:
        """When something changes for those who wait."""
        times = [runner.since + self.dwell for runner in self.runners.values() if not runner.served]
        if (end := self._queue.next_end()) is not None:
            times.append(end)
        for key in self._queue.keys:
            _, first = self._queue.of(key)[0]
            times.append(first.since + self.patience)
            held = self._troubles.holding(first.request, now)
            times += [held.until] if held else []
        return times

    @property
    def runners(self) -> Mapping[RunnerKey, Runner]:
        """All of them, oldest first."""
        return self.roster.runners

    @property
    def ledger(self) -> Ledger:
        """Who holds how much."""
        return self.roster.ledger

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def needs_room(self) -> bool:
        """Whether a request waits for a runner that is not there."""
        return bool(self._queue) and any(key not in self.runners for key in self._queue.keys)

    @property
    def busy(self) -> frozenset[RunnerKey]:
        """The runners that requests hold or wait for, also those that are not there yet."""
        held = (key for key, runner in self.runners.items() if runner.holders)
        return frozenset((*held, *self._queue.keys))

    def runs(self, key: RunnerKey) -> bool:
        """Whether there is such a runner, in whatever state."""
        return key in self.runners

    def waiting_for(self, key: RunnerKey) -> int:
        """Requests in the queue for this runner."""
        return self._queue.count(key)

    def _note(self, event: Event, now: float) -> Iterable[Effect]:
        match event:
            case Requested():
                return self._requested(event, now)
            case Released():
                self._released(event.ticket, now)
            case AboutToLoad() | Started() | LaunchFailed() | Died() | Exited():
                return self._lives.note(event, now)
            case UnloadAsked():
                self._unload(event)
            case DrainAsked():
                return self._drain()
            case TimePassed():
                pass
            case _:
                assert_never(event)
        return ()

    def _requested(self, event: Requested, now: float) -> Iterator[Effect]:
        if self.draining:
            yield Refuse(event.ticket, refusals.draining())
            return
        if len(self._queue) >= self.queue_limit:
            yield Refuse(event.ticket, refusals.queue_full(len(self._queue)))
            return
        runner = self.runners.get(event.request.key)
        if runner and event.keep_alive is not None:
            runner.keeps(event.keep_alive)
        if runner and runner.open and not self._queue:
            yield self.roster.grant(event.request.key, event.ticket)  # nobody to be overtaken
            return
        keep_alive = event.request.keep_alive if event.keep_alive is None else event.keep_alive
        until = now + (self.wait if event.wait is None else event.wait)
        self._queue.add(event.ticket, Waiting(event.request, now, keep_alive, until))

    def _released(self, ticket: Ticket, now: float) -> None:
        self._queue.remove(ticket)
        self.roster.release(ticket, now)

    def _unload(self, event: UnloadAsked) -> None:
        for key in event.keys or ():
            self._troubles.over(key)  # new settings are announced by this too
        for key, runner in self.runners.items():
            if event.keys is None or key in event.keys:
                busy = runner.holders or self._queue.count(key)
                runner.unload = "" if busy else event.why

    def _drain(self) -> Iterator[Effect]:
        self.draining = True
        for runner in self.runners.values():
            runner.unload = "the daemon is shutting down"
        for ticket, _ in self._queue:
            yield Refuse(ticket, refusals.draining())
        self._queue.clear()
