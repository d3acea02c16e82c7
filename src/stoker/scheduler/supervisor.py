"""Engine processes, each in a task of its own from the decision to start it until it is gone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from stoker.base.errors import EngineError, LaunchFailed, StokerError
from stoker.engines.footprint import footprint
from stoker.engines.measured import BufferLog
from stoker.engines.orphans import SOCKET
from stoker.engines.spec import Engine, Instance, Launcher
from stoker.scheduler import events
from stoker.scheduler.events import Generation, RunRequest, Start

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Life:
    """One life of a runner, as others may look at it. Times of the scheduler's clock."""

    task: asyncio.Task[StokerError | None]
    began: float
    """When its start was decided."""
    sign: float
    """The last sign of life on its way in or out: a line in its log, a part of its model read."""
    read: float | None = None
    """How much of its model has been read, 0 to 1; None where nobody can tell."""
    buffers: BufferLog = field(default_factory=BufferLog)
    """What its engine has logged of itself."""
    instance: Instance | None = None
    """Its process, while it answers."""
    weighed: bool = False
    """Whether its log leaves out what it takes of the host: see `Command.weighed`."""
    build: str = ""
    """What its process runs, as `b11549 (wheel)`; a newer one may have been installed since."""


class Supervisor:
    """Carries out starts and stops, and reports how each life of a runner went.

    Use as an async context manager: leaving it stops every engine. `about_to_load` is awaited
    before an engine takes memory, and may stop it. `loaded` is told what which build took, and once
    more when it ends, with how fast it was. `report` hears of each start exactly one end,
    whatever the reason; it must not raise.
    """

    def __init__(
        self,
        *,
        engines: Mapping[str, Engine],
        launcher: Launcher,
        run_dir: Path,
        engine_log: Callable[[str, str, str], None],
        loaded: Callable[[RunRequest, str, BufferLog], None],
        about_to_load: Callable[[Start], Awaitable[None]],
        report: Callable[[events.Event], object],
        clock: Callable[[], float],
    ) -> None:
        self._engines = engines
        self._launcher = launcher
        self._run_dir = run_dir
        self._engine_log = engine_log
        self._loaded = loaded
        self._about_to_load = about_to_load
        self._report = report
        self._clock = clock
        self._lives: dict[Generation, Life] = {}
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for generation in list(self._lives):
            self.stop(generation)  # each one stops its engine on the way out
        await self._group.__aexit__(kind, error, traceback)

    def start(self, start: Start) -> None:
        """Begin a life; `report` hears Started, or why not, and of its end."""
        now = self._clock()
        task = self._group.create_task(self._live(start), name=f"runner {start.generation}")
        self._lives[start.generation] = Life(task, began=now, sign=now)
        # A callback and not a `finally`: a task cancelled before its first step runs no code.
        task.add_done_callback(lambda done: self._ended(start, done))

    def stop(self, generation: Generation) -> None:
        """End a life, also one that has not got ready yet."""
        life = self._lives[generation]
        life.sign = self._clock()
        life.task.cancel()

    def life(self, generation: Generation) -> Life:
        """How this one goes. It must not have ended."""
        return self._lives[generation]

    def _ended(self, start: Start, task: asyncio.Task[StokerError | None]) -> None:
        del self._lives[start.generation]
        error = None if task.cancelled() else task.result()
        life = start.request.key, start.generation
        self._report(events.LaunchFailed(*life, error) if error else events.Exited(*life))

    async def _live(self, start: Start) -> StokerError | None:
        """One life of a runner; being cancelled means: stop it. Answers what went wrong."""
        life = self._lives[start.generation]
        try:
            await self._about_to_load(start)
            await asyncio.sleep(0)  # if it was stopped there, this is where it ends
            instance = await self._launch(start, life)
            try:
                await self._attend(start, life, instance)
            finally:
                life.instance = None
                await instance.stop()
                self._loaded(start.request, life.build, life.buffers)
        except StokerError as error:
            logger.warning("launch failed model=%s: %s", start.request.model.name, error)
            return error
        except Exception as error:
            # The rim of this task: a bug about one runner must not take the others down.
            logger.exception("runner failed model=%s", start.request.model.name)
            return _no_process(start, error)
        return None

    async def _launch(self, start: Start, life: Life) -> Instance:
        request = start.request
        engine = self._engines[request.engine]
        socket = self._run_dir / f"{start.generation:08x}" / SOCKET
        command = engine.command(request.model, request.mode, request.settings, socket)
        name = request.model.name
        began = self._clock()
        buffers = life.buffers = BufferLog()
        life.weighed = command.weighed

        def log(line: str) -> None:
            life.sign = self._clock()
            buffers(line)
            self._engine_log(engine.name, name, line)

        def progress(share: float) -> None:
            if share != life.read:
                life.read, life.sign = share, self._clock()

        instance = await self._launcher.start(
            engine, command, label=name, log=log, progress=progress
        )
        logger.info(
            "model loaded model=%s engine=%s mode=%s pid=%s seconds=%.3f",
            name, request.engine, request.mode, instance.pid, self._clock() - began,
        )  # fmt: skip
        return instance

    async def _attend(self, start: Start, life: Life, instance: Instance) -> None:
        """From ready until its process ends by itself. Whoever calls this stops the instance."""
        request = start.request
        # Only now: a build that failed has been rolled back by the launcher.
        life.build = str(self._engines[request.engine].build() or "")
        self._loaded(request, life.build, life.buffers)
        life.instance = instance
        self._report(events.Started(request.key, start.generation))
        if life.weighed:
            life.buffers.resident = await asyncio.to_thread(footprint, instance.pid)
            self._loaded(request, life.build, life.buffers)
        async with asyncio.TaskGroup() as watching:
            watch = watching.create_task(instance.watch())
            code = await instance.wait()
            # Before anything is waited for: whoever asks now must not be given this one.
            self._report(events.Died(request.key, start.generation))
            watch.cancel()
        logger.warning("engine exited model=%s code=%s", request.model.name, code)


def _no_process(start: Start, error: Exception) -> EngineError:
    return LaunchFailed(
        f"{start.request.engine} could not be started for {start.request.model.name}: {error}",
        engine=start.request.engine,
        hint="stoker logs shows more",
    )
