"""The asyncio shell around the core: carries out its effects and reports back what happened.

The one owner of the core is this object, on one event loop. `_dispatch` is synchronous, so that a
decision and the state it was based on cannot drift apart; everything that takes time runs in tasks
of the supervisor's group, never in a caller's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

from stoker.engines.measured import BufferLog
from stoker.engines.spec import Engine, Launcher
from stoker.planner.devices import Listing
from stoker.scheduler import events
from stoker.scheduler.core import Core
from stoker.scheduler.events import Effect, Event, RunnerKey, RunnerState, Ticket
from stoker.scheduler.journal import Journal
from stoker.scheduler.lease import Hold, Lease
from stoker.scheduler.runner import Runner
from stoker.scheduler.status import RunnerStatus
from stoker.scheduler.supervisor import Supervisor


class Scheduler:
    """Decides what runs and when; `async with lease(...)` is how a request gets a runner.

    Use as an async context manager: leaving it stops every runner. `run_dir` holds the engines'
    sockets; `engine_log` receives every line that an engine writes, after the engine's and the
    model's name; `watch` sees every decision; `room` answers how many bytes of host memory all
    engines may have now, `devices` what the GPUs are and have; `loaded` is told what a model took,
    and with which build.
    """

    def __init__(
        self,
        *,
        core: Core,
        engines: Mapping[str, Engine],
        launcher: Launcher,
        run_dir: Path,
        engine_log: Callable[[str, str, str], None],
        watch: Callable[[Effect], None] = lambda _: None,
        room: Callable[[], int] | None = None,
        devices: Callable[[], Awaitable[Listing]] | None = None,
        loaded: Callable[[events.RunRequest, str, BufferLog], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = core
        self._watch = watch
        self._room = room
        self._devices = devices
        self.journal = Journal()
        self._clock = clock
        self._tickets = count(1)
        self._grants: dict[Ticket, asyncio.Future[Lease]] = {}
        self._supervisor = Supervisor(
            engines=engines,
            launcher=launcher,
            run_dir=run_dir,
            engine_log=engine_log,
            loaded=loaded,
            about_to_load=self._about_to_load,
            report=self._dispatch,
            clock=clock,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._empty = asyncio.Event()
        self._empty.set()

    async def __aenter__(self) -> Self:
        await self._supervisor.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dispatch(events.DrainAsked())
        if self._timer:
            self._timer.cancel()
        await self._supervisor.__aexit__(kind, error, traceback)

    def lease(
        self,
        request: events.RunRequest,
        *,
        keep_alive: float | None = None,
        wait: float | None = None,
    ) -> AbstractAsyncContextManager[Lease]:
        """Hold a ready runner for the length of the block; loads the model when needed.

        Waits for memory and for the load, at most `wait` seconds. Raises what the core refuses
        with: LaunchFailed, NotReadyInTime, QueueFull, WaitedTooLong, Draining, Conflict,
        DoesNotFit.
        """
        ticket = Ticket(next(self._tickets))
        return Hold(self, events.Requested(ticket, request, keep_alive, wait))

    async def granted(self, asked: events.Requested) -> Lease:
        """Wait for a runner. Whoever asked says when it is `over`, however it ended."""
        if not self._core.runs(asked.request.key):
            await self._look_at_devices()
        grant: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._grants[asked.ticket] = grant
        self._dispatch(asked)
        return await grant

    def over(self, ticket: Ticket) -> None:
        """Also right when the grant came and the caller was gone by then: the core knows by the
        ticket whether it waited or held.
        """
        self._grants.pop(ticket, None)
        self._dispatch(events.Released(ticket))

    def unload(self, keys: frozenset[RunnerKey] | None, why: str = "it was to be unloaded") -> int:
        """Stop these runners (all when None) where idle; answers how many are now stopping."""
        effects = self._dispatch(events.UnloadAsked(keys, why))
        return sum(isinstance(effect, events.Stop) for effect in effects)

    def runs(self, key: RunnerKey) -> bool:
        """Whether there is such a runner, in whatever state."""
        return self._core.runs(key)

    def busy(self) -> frozenset[RunnerKey]:
        """The runners that requests hold or wait for: not to be changed under them."""
        return self._core.busy

    def is_ready(self, key: RunnerKey) -> bool:
        """Whether this runner has been loaded and is not about to stop."""
        runner = self._core.runners.get(key)
        return runner is not None and runner.state is RunnerState.READY

    def held(self) -> Mapping[str, int]:
        """Bytes that all runners hold, by memory."""
        return self._core.ledger.used

    async def drain(self, within: float) -> bool:
        """Refuse new requests and wait for running ones, at most `within` seconds."""
        self._dispatch(events.DrainAsked())
        try:
            async with asyncio.timeout(within):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def status(self) -> tuple[RunnerStatus, ...]:
        """A snapshot of all runners, oldest first."""
        now = self._clock()
        return tuple(self._status(runner, now) for runner in self._core.runners.values())

    def _status(self, runner: Runner, now: float) -> RunnerStatus:
        key, life = runner.request.key, self._supervisor.life(runner.generation)
        ready = runner.state is RunnerState.READY
        return RunnerStatus(
            key=key,
            name=runner.request.model.name,
            state=runner.state,
            in_use=len(runner.holders),
            waiting=self._core.waiting_for(key),
            idle_for=now - runner.idle_since if runner.idle else None,
            keep_alive=runner.keep_alive,
            memory=runner.way.cost.memory,
            devices=runner.way.cost.devices,
            placed=runner.way.words,
            pid=life.instance.pid if life.instance else None,
            build=life.build,
            age=now - life.began,
            silent_for=0.0 if ready else now - life.sign,
            socket=life.instance.socket if life.instance else None,
            settings=runner.way.settings,
            read=life.read,
        )

    async def _look_at_devices(self) -> None:
        if self._devices is not None:
            seen = await self._devices()
            self._core.see(seen.devices, seen.since)

    async def _about_to_load(self, start: events.Start) -> None:
        """Another program may have taken the memory since the decision: decide again."""
        await self._look_at_devices()
        self._dispatch(events.AboutToLoad(start.request.key, start.generation))

    def _dispatch(self, event: Event) -> list[Effect]:
        now = self._clock()
        effects = self._core.handle(event, now, self._room_for(event))
        self.journal.note(event, effects, time.time())
        for effect in effects:
            self._watch(effect)
            self._carry_out(effect)
        (self._empty.clear if self._core.runners else self._empty.set)()
        self._arm_timer(now)
        return effects

    def _room_for(self, event: Event) -> int | None:
        """Looked at only when something may be started: it costs more than a decision."""
        if self._room is None:
            return None
        starts = isinstance(event, events.AboutToLoad) or (
            isinstance(event, events.Requested) and not self._core.runs(event.request.key)
        )
        return self._room() if starts or self._core.needs_room else None

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case events.Grant():
                grant = self._grants.get(effect.ticket)
                instance = self._supervisor.life(effect.generation).instance
                if grant and instance and not grant.done():
                    name = self._core.runners[effect.key].request.model.name
                    grant.set_result(Lease(instance, name))
            case events.Refuse():
                grant = self._grants.get(effect.ticket)
                if grant and not grant.done():
                    grant.set_exception(effect.error)
            case events.Start():
                self._supervisor.start(effect)
            case events.Stop():
                self._supervisor.stop(effect.generation)
            case _:
                assert_never(effect)

    def _arm_timer(self, now: float) -> None:
        deadline = self._core.next_deadline(now)
        # A request moves it further away: the timer stays, looks too early once and is armed anew.
        if deadline is None or (self._timer and self._due <= deadline):
            return
        if self._timer:
            self._timer.cancel()
        self._due = deadline
        # A hair late: firing a microsecond early would only arm the timer again.
        delay = deadline - now + 0.001
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._dispatch(events.TimePassed())
