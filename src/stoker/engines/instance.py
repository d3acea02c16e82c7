"""An engine process that has answered: it is attended, and ended."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, Final, final

from stoker.engines.logs import LineTail
from stoker.engines.orphans import remove_traces
from stoker.engines.process import STOP_GRACE, ChildProcess
from stoker.engines.spec import Command

logger = logging.getLogger(__name__)

_PULSE: Final = 60.0
"""Seconds between two looks at an engine that is ready."""


@final
class LocalInstance:
    """An engine process of this machine that has answered its health check."""

    def __init__(
        self, process: ChildProcess, tail: LineTail, command: Command, patience: float
    ) -> None:
        self._process = process
        self._tail = tail
        self._socket = command.socket
        self._pulse_path = command.pulse_path
        self._patience = patience
        self._hung = False

    @property
    def socket(self) -> Path:
        return self._socket

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log_tail(self) -> tuple[str, ...]:
        """The last lines it wrote, oldest first."""
        return self._tail.lines

    @property
    def hung(self) -> bool:
        return self._hung

    async def watch(self) -> None:
        """End it when it gives no sign of life for `patience` seconds. Cancel it when done."""
        pulse = min(_PULSE, self._patience / 4)
        sign = time.monotonic()
        while (silent := time.monotonic() - sign) < self._patience:
            await asyncio.sleep(pulse)
            try:
                await status_of(self._socket, self._pulse_path, pulse)
            except (TimeoutError, BlockingIOError):  # nobody takes what waits in its backlog
                continue
            except OSError as error:  # it ends, or has lost its socket: others find out
                logger.debug("no pulse pid=%s: %s", self.pid, error)
            sign = time.monotonic()
        logger.error("engine hangs pid=%s: nothing for %.0f s", self.pid, silent)
        self._hung = True
        self._process.kill()

    async def wait(self) -> int:
        """The exit code, once it has ended; negative for a signal. Safe to await more than once."""
        return await self._process.wait()

    async def stop(self) -> None:
        """TERM to the group, wait, KILL, reap, remove the socket. Idempotent, always returns."""
        await end_process(self._process, self._socket, STOP_GRACE)


async def status_of(socket: Path, path: str, within: float) -> bytes:
    """What an engine answers to a GET; empty when it hangs up. Raises OSError, TimeoutError."""
    request = f"GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            writer.write(request.encode())
            line = await reader.readline()
        except ValueError:  # endless
            return b""
        finally:
            writer.transport.abort()
    return b"".join(line.split(b" ", 2)[1:2])


async def end_process(process: ChildProcess, socket: Path, grace: float) -> None:
    """End it even when the caller is cancelled meanwhile; the cancellation is delivered after."""
    ending = asyncio.ensure_future(process.end(grace))
    cancelled = await done_in_any_case(ending)
    remove_traces(socket)
    ending.result()
    if cancelled:
        raise cancelled


async def done_in_any_case(task: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait for a task that is short for certain; answers the cancellation that came meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
