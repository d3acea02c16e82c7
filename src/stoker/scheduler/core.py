"""The scheduler's core: a pure state machine over events and time. Everything that decides is here.

    handle(event, now) -> effects          no clock, no task, no process, no I/O

A runner is LOADING, READY or STOPPING. A request is queued until its runner is READY, then granted;
it holds the runner until it is released. Rules:

* A load is joined, never doubled, and it outlives whoever asked first.
* A runner in use is never stopped to make room.
* Memory is a ledger: the sum over all runners, also those that still load or stop, stays within
  the budget and within what strangers leave; only a runner whose size is a guess may exceed it,
  alone. One whose size is known is refused then.
* Runners kept for ever are not evicted: what can never fit beside them is refused at once.
* A runner that became ready and served nobody yet is not evicted for `dwell` seconds.
* What fails to start again and again is tried less and less often (`trouble`); a wait has a limit.
* The queue is served in order. Whoever needs no memory is served at once, unless somebody in front
  has waited for memory for `patience` seconds: then runners get no new work from behind that one
  until they can be stopped (no starvation by a busy neighbour).
"""

from collections.abc import Iterator
from typing import Final, assert_never

from stoker.base.errors import StokerError
from stoker.base.units import binary_size
from stoker.planner.spec import FOREVER
from stoker.scheduler import policy, refusals
from stoker.scheduler.events import (
    DrainAsked,
    Effect,
    Event,
    Exited,
    Generation,
    Grant,
    LaunchFailed,
    Refuse,
    Released,
    Requested,
    RunnerKey,
    RunnerState,
    Start,
    Started,
    Stop,
    Ticket,
    TimePassed,
    UnloadAsked,
)
from stoker.scheduler.queue import Queue, Waiting
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
    """State and rules. `memory_budget` in bytes; one owner calls `handle`."""

    def __init__(
        self,
        *,
        memory_budget: int,
        queue_limit: int = DEFAULT_QUEUE,
        patience: float = DEFAULT_PATIENCE,
        wait: float = DEFAULT_WAIT,
        dwell: float = DEFAULT_DWELL,
    ) -> None:
        self.memory_budget = memory_budget
        self.room = memory_budget
        self.queue_limit = queue_limit
        self.patience = patience
        self.wait = wait
        self.dwell = dwell
        self.runners: dict[RunnerKey, Runner] = {}
        self.draining = False
        self._queue = Queue()
        self._holds: dict[Ticket, RunnerKey] = {}
        self._troubles = Troubles()
        self._generations = 0

    def handle(self, event: Event, now: float, room: int | None = None) -> list[Effect]:
        """Take note of what happened; answer what is to be done, in order.

        `room`: bytes that all runners together may have now, by what other programs hold; None
        when nobody looked.
        """
        if room is not None:
            self.room = room
        effects: list[Effect] = []
        match event:
            case Requested():
                effects += self._requested(event, now)
            case Released():
                self._released(event.ticket, now)
            case Started():
                self._started(event, now)
            case LaunchFailed():
                effects += self._failed(event, now)
            case Exited():
                self._exited(event, now)
            case UnloadAsked():
                self._unload(event)
            case DrainAsked():
                effects += self._drain()
            case TimePassed():
                pass
            case _:
                assert_never(event)
        effects += self._stop_idle(now)
        effects += self._serve_queue(now)
        effects += self._give_up(now)
        return effects

    def next_deadline(self, now: float) -> float | None:
        """When `handle(TimePassed())` is due, if nothing else happens before."""
        times = [runner.expires for runner in self.runners.values()]
        for _, waiting in self._queue:
            times += [waiting.since + self.patience, waiting.until]
            held = self._troubles.holding(waiting.request, now)
            times += [held.until] if held else []
        if self._queue:
            times += [r.since + self.dwell for r in self.runners.values() if not r.served]
        # What is due already has been dealt with, or waits for something other than time.
        return min((t for t in times if now < t < FOREVER), default=None)

    def stuck_for(self, now: float) -> float:
        """Seconds that the longest start or stop takes by now; 0 when there is none."""
        busy = (r.since for r in self.runners.values() if r.state is not RunnerState.READY)
        return max((now - since for since in busy), default=0.0)

    @property
    def limit(self) -> int:
        """Bytes that all runners together may have now."""
        return min(self.memory_budget, self.room)

    @property
    def memory_used(self) -> int:
        """Bytes the ledger counts, runners on their way in or out included."""
        return sum(runner.request.memory for runner in self.runners.values())

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def needs_room(self) -> bool:
        """Whether a request waits for a runner that is not there."""
        return not self._queue.keys <= self.runners.keys()

    def runs(self, key: RunnerKey) -> bool:
        """Whether there is such a runner, in whatever state."""
        return key in self.runners

    def waiting_for(self, key: RunnerKey) -> int:
        """Requests in the queue for this runner."""
        return self._queue.count(key)

    # Events

    def _requested(self, event: Requested, now: float) -> list[Effect]:
        if self.draining:
            return [Refuse(event.ticket, refusals.draining())]
        if len(self._queue) >= self.queue_limit:
            full = refusals.queue_full(len(self._queue))
            return [Refuse(event.ticket, full)]
        runner = self.runners.get(event.request.key)
        if runner and event.keep_alive is not None:
            runner.keep_alive = event.keep_alive
        keep_alive = event.request.keep_alive if event.keep_alive is None else event.keep_alive
        until = now + (self.wait if event.wait is None else event.wait)
        self._queue.add(event.ticket, Waiting(event.request, now, keep_alive, until))
        return []

    def _released(self, ticket: Ticket, now: float) -> None:
        self._queue.remove(ticket)
        key = self._holds.pop(ticket, None)
        runner = self.runners.get(key) if key else None
        if runner and ticket in runner.holders:
            runner.holders.remove(ticket)
            runner.idle_since = now

    def _started(self, event: Started, now: float) -> None:
        runner = self._current(event.key, event.generation)
        if runner and runner.state is RunnerState.LOADING:
            runner.state = RunnerState.READY
            runner.idle_since = runner.since = now
            self._troubles.started(event.key)

    def _failed(self, event: LaunchFailed, now: float) -> list[Effect]:
        runner = self._current(event.key, event.generation)
        if not runner:
            return []
        self._forget(event.key)
        self._troubles.failed(runner.request, event.error, now)
        waiting = [t for t, w in self._queue if w.request.key == event.key]
        for ticket in waiting:
            self._queue.remove(ticket)
        return [Refuse(ticket, event.error) for ticket in waiting]

    def _exited(self, event: Exited, now: float) -> None:
        # The holders find out by their broken connection; their later Released is harmless.
        runner = self._current(event.key, event.generation)
        if runner:
            self._forget(event.key)
            if runner.state is RunnerState.READY:
                self._troubles.crashed(runner.request, now, lived=now - runner.since)

    def _unload(self, event: UnloadAsked) -> None:
        for key in event.keys or ():
            self._troubles.over(key)  # new settings are announced by this too
        for key, runner in self.runners.items():
            if event.keys is None or key in event.keys:
                runner.unload = not runner.holders and not self._wanted(key)

    def _drain(self) -> list[Effect]:
        self.draining = True
        for runner in self.runners.values():
            runner.unload = True
        refused = [Refuse(ticket, refusals.draining()) for ticket, _ in self._queue]
        self._queue = Queue()
        return list(refused)

    # Decisions

    def _stop_idle(self, now: float) -> Iterator[Effect]:
        for key, runner in self.runners.items():
            asked = runner.unload and runner.idle
            # One that loads may still be wanted; an idle one that is wanted is granted now.
            dropped = runner.unload and runner.state is RunnerState.LOADING
            expired = not asked and runner.expires <= now
            if not (asked or dropped or expired):
                continue
            if (dropped or expired) and self._wanted(key):
                continue
            why = f"nobody used it for {runner.keep_alive:.0f} s, its keep-alive"
            if not expired:
                why = "the daemon is shutting down" if self.draining else "it was to be unloaded"
            yield self._stop(key, runner, why, now)

    def _stop(self, key: RunnerKey, runner: Runner, why: str, now: float) -> Stop:
        runner.state = RunnerState.STOPPING
        runner.since = now
        return Stop(key, runner.generation, why)

    def _serve_queue(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        ahead: set[RunnerKey] = set()  # wanted by those further in front
        closed: set[RunnerKey] = set()  # no new work for those further behind
        short_of_memory = False
        for ticket, waiting in self._queue:
            key = waiting.request.key
            runner = self.runners.get(key)
            if runner is not None:
                if runner.state is RunnerState.READY and not runner.unload and key not in closed:
                    self._queue.remove(ticket)
                    runner.holders.add(ticket)
                    runner.served = True
                    self._holds[ticket] = key
                    effects.append(Grant(ticket, key, runner.generation))
                    continue
            elif held := self._troubles.holding(waiting.request, now):
                # Whoever waits for a runner in trouble keeps nobody else waiting.
                if held.error:
                    effects.append(self._refuse(ticket, held.error))
                continue
            elif not short_of_memory:  # in order: a small model must not overtake a large one
                spared = ahead
                if now - waiting.since >= self.patience:
                    closed = {k for k, r in self.runners.items() if r.keep_alive != FOREVER}
                else:
                    spared = set(self._queue.keys)
                effects += self._make_room(ticket, waiting, spared, now)
                short_of_memory = key not in self.runners and ticket in self._queue
            ahead.add(key)
        return effects

    def _make_room(
        self, ticket: Ticket, waiting: Waiting, spared: set[RunnerKey], now: float
    ) -> list[Effect]:
        """Start the runner, or stop idle ones so that it can start, or say why it never can."""
        request = waiting.request
        missing = self.memory_used + request.memory - self.limit
        if missing <= 0:
            return [self._start(waiting, now)]
        if request.known and request.memory > self.limit:
            others = max(self.memory_budget - self.room, 0)
            error = refusals.too_large(request, limit=self.limit, others=others)
            return [self._refuse(ticket, error)]
        # A guess may exceed the budget alone: it is only a guess, and the user asked for it.
        if not self.runners:
            return [self._start(waiting, now)]
        pinned = [r.request for r in self.runners.values() if r.keep_alive == FOREVER]
        if pinned and sum(r.memory for r in pinned) + request.memory > self.limit:
            kept = refusals.kept_for_ever(request, pinned, limit=self.limit)
            return [self._refuse(ticket, kept)]
        leaving = sum(
            r.request.memory for r in self.runners.values() if r.state is RunnerState.STOPPING
        )
        if leaving >= missing or len(self.runners) == self._stopping:
            return []
        candidates = self._candidates(spared, now)
        chosen = policy.victims(candidates, missing - leaving)
        if chosen is None and request.memory > self.limit:
            chosen = tuple(c.key for c in candidates if not c.pinned)
        if chosen:
            why = f"{request.model.name} needs its memory, and it was used least recently"
            return [self._stop(key, self.runners[key], why, now) for key in chosen]
        return []

    @property
    def _stopping(self) -> int:
        return sum(r.state is RunnerState.STOPPING for r in self.runners.values())

    def _refuse(self, ticket: Ticket, error: StokerError) -> Refuse:
        self._queue.remove(ticket)
        return Refuse(ticket, error)

    def _candidates(self, spared: set[RunnerKey], now: float) -> list[policy.Candidate]:
        return [
            policy.Candidate(
                key, runner.request.memory, runner.idle_since, runner.keep_alive == FOREVER
            )
            for key, runner in self.runners.items()
            if runner.idle
            and key not in spared
            and (runner.served or now - runner.since >= self.dwell)
        ]

    def _wanted(self, key: RunnerKey) -> bool:
        return self._queue.count(key) > 0

    def _start(self, waiting: Waiting, now: float) -> Start:
        self._generations += 1
        generation = Generation(self._generations)
        request = waiting.request
        self.runners[request.key] = Runner(request, generation, waiting.keep_alive, since=now)
        left = max(self.limit - self.memory_used, 0)
        why = f"{binary_size(left)} of {binary_size(self.limit)} are left for other models"
        return Start(generation, request, why)

    def _give_up(self, now: float) -> list[Effect]:
        return [
            self._refuse(ticket, refusals.waited_too_long(waiting.request, now - waiting.since))
            for ticket, waiting in self._queue
            if waiting.until <= now
        ]

    # Records

    def _current(self, key: RunnerKey, generation: Generation) -> Runner | None:
        runner = self.runners.get(key)
        return runner if runner and runner.generation == generation else None

    def _forget(self, key: RunnerKey) -> None:
        runner = self.runners.pop(key)
        for ticket in runner.holders:
            del self._holds[ticket]
