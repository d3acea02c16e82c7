"""The Launcher of this machine: a Command becomes a process that answers on its unix socket."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Final, final

from stoker.base.errors import LaunchFailed, NotReadyInTime
from stoker.engines.confinement import Confinement
from stoker.engines.instance import LocalInstance, done_in_any_case, end_process, status_of
from stoker.engines.logs import LineTail
from stoker.engines.orphans import remove_traces, write_note
from stoker.engines.process import ChildProcess
from stoker.engines.reading import Reading
from stoker.engines.spec import Command, Engine, Instance
from stoker.engines.tether import PARENT_VARIABLE

logger = logging.getLogger(__name__)

_POLL_MIN: Final = 0.01
_POLL_MAX: Final = 0.25
_POLL_SHARE: Final = 0.05
"""Wait this share of the time gone by between two probes: readiness is seen at most 5 % late, and
sooner where an engine says something of it."""

_SETTLE: Final = 0.003
"""Seconds from what an engine wrote to a probe: lines come in bursts, and the last one counts."""

_OUTPUT_WITHIN: Final = 20.0
"""Seconds; drivers of a sleeping GPU take a while to wake it."""

_PROBE_WITHIN: Final = 2.0
"""Seconds for one health answer; an engine that takes longer is asked again."""

_CONFINED: Final = Confinement()


@final
class LocalLauncher:
    """Starts engines as child processes of this one, confined unless `confinement` is None.

    `patience`: seconds without a sign of life after which one that was ready counts as hung.
    """

    def __init__(
        self, confinement: Confinement | None = _CONFINED, *, patience: float = 1800.0
    ) -> None:
        self._confinement = confinement
        self._patience = patience

    async def start(
        self,
        engine: Engine,
        command: Command,
        *,
        label: str,
        log: Callable[[str], None],
        progress: Callable[[float], None] = lambda _: None,
    ) -> Instance:
        """Start and wait for readiness: the first of healthy, exited, deadline.

        `label` names the model in logs; `log` receives every output line, `progress` now and then
        the share of `command.files` that was read, 0 to 1. On failure or cancellation nothing is
        left behind. Raises LaunchFailed, NotReadyInTime.
        """
        tail = LineTail(log)
        try:
            process = await self._spawn(engine, command, tail, label)
        except OSError as error:
            raise LaunchFailed(
                f"{engine.name} cannot be started for {label}: {error}", engine=engine.name
            ) from error
        logger.info("engine started model=%s engine=%s pid=%s", label, engine.name, process.pid)
        ready = False
        try:
            write_note(command.socket, process.pid)
            await _until_ready(process, tail, engine, command, label=label, progress=progress)
            ready = True
        finally:
            if not ready:
                await end_process(process, command.socket, 0)
        return LocalInstance(process, tail, command, self._patience)

    async def output(self, engine: Engine, command: Command) -> tuple[str, ...]:
        """The last lines of a command that ends by itself; none when it fails or takes long."""
        try:
            process = await self._spawn(engine, command, LineTail(lambda _: None), "")
        except OSError as error:
            logger.warning("%s cannot be asked: %s", engine.name, error)
            return ()
        try:
            if await process.ended_within(_OUTPUT_WITHIN) and process.exit_code == 0:
                return await process.last_output()
            logger.warning("%s gave no answer code=%s", engine.name, process.exit_code)
            return ()
        finally:
            await end_process(process, command.socket, 0)

    async def _spawn(
        self, engine: Engine, command: Command, tail: LineTail, label: str
    ) -> ChildProcess:
        """Raises OSError. Whoever is cancelled here leaves nothing behind."""
        try:
            environment = self._prepare(engine, command)
            # Not to be interrupted: uvloop would kill the child but leave before it is reaped.
            spawning = asyncio.ensure_future(
                ChildProcess.spawn(command.argv, environment, tail=tail, label=label)
            )
            cancelled = await done_in_any_case(spawning)
            process = spawning.result()
        except OSError:
            remove_traces(command.socket)
            raise
        if cancelled:
            await end_process(process, command.socket, 0)
            raise cancelled
        return process

    def _prepare(self, engine: Engine, command: Command) -> dict[str, str]:
        """Make the engine's directory; answers its whole environment."""
        remove_traces(command.socket)
        command.socket.parent.mkdir(parents=True, mode=0o700)
        if self._confinement is None:
            more = {"TMPDIR": str(command.socket.parent)}
        else:
            more = self._confinement.environment(command, engine.name)
        return {**command.environment, **more, PARENT_VARIABLE: str(os.getpid())}


async def _until_ready(
    process: ChildProcess,
    tail: LineTail,
    engine: Engine,
    command: Command,
    *,
    label: str,
    progress: Callable[[float], None],
) -> None:
    began = time.monotonic()
    reading = Reading(command.files)
    try:
        async with asyncio.timeout(command.ready_within):
            while not await _healthy(command):
                gone = time.monotonic() - began
                await process.stirs_within(min(max(gone * _POLL_SHARE, _POLL_MIN), _POLL_MAX))
                if await process.ended_within(_SETTLE):
                    break
                if command.files:
                    progress(reading.look(process.pid))
            else:
                return
    except TimeoutError:
        raise NotReadyInTime(
            f"{engine.name} did not get {label} ready in {command.ready_within:g} seconds",
            engine=engine.name,
            log_tail=tail.lines,
            hint="stoker logs shows how far it came",
        ) from None
    log_tail = await process.last_output()
    found = engine.diagnose(process.exit_code, log_tail)
    raise LaunchFailed(
        f"{label} cannot be loaded: {found.message}",
        engine=engine.name,
        reason=found.reason,
        log_tail=log_tail,
        hint=command.hints.get(found.reason, found.hint),
    )


async def _healthy(command: Command) -> bool:
    """Whether the engine answers 200. Anything else, silence included, means: not yet."""
    try:
        return await status_of(command.socket, command.health_path, _PROBE_WITHIN) == b"200"
    except (OSError, TimeoutError):
        return False
