"""One child process: its own group, its output as lines, a bounded way to stop it.

Built on asyncio's protocol interface and not on its streams: output and exit arrive as callbacks,
so a running engine costs no task, and there is none to forget.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Final, Self, cast, final

from stoker.engines.logs import LineTail

logger = logging.getLogger(__name__)

STOP_GRACE: Final = 3.0
"""Seconds between TERM and KILL. The worker ends within 0.05; vLLM frees its GPUs in about two."""

_REAP_WITHIN: Final = 5.0
"""Seconds for the kernel to end a killed process; it may sit in a driver call for a while."""

_DRAIN_WITHIN: Final = 0.5
"""Seconds after the exit for the last output; a grandchild may hold the pipe open for ever."""


@final
class ChildProcess(asyncio.SubprocessProtocol):
    """A running or ended child. Made by `spawn`; whoever has it must call `end`."""

    def __init__(self, tail: LineTail, label: str) -> None:
        loop = asyncio.get_running_loop()
        self._tail = tail
        self._label = label
        self._transport: asyncio.SubprocessTransport | None = None
        self._exit: asyncio.Future[int] = loop.create_future()
        self._output_ended = asyncio.Event()
        self._stirred = asyncio.Event()
        self._ended = False
        self.pid = 0

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], environment: Mapping[str, str], *, tail: LineTail, label: str
    ) -> Self:
        """Start it in a session of its own, stdin empty, stdout and stderr into `tail`.

        Raises OSError when the program cannot be executed.
        """
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(tail, label),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        return child

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it runs."""
        return self._exit.result() if self._exit.done() else None

    async def wait(self) -> int:
        """The exit code, once it has ended. Cancelling a waiter does not disturb the others."""
        return await asyncio.shield(self._exit)

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends in that time."""
        done, _ = await asyncio.wait([self._exit], timeout=seconds)
        return bool(done)

    async def stirs_within(self, seconds: float) -> None:
        """Wait until it writes or ends, that long at most; what came since the last wait counts."""
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return
        self._stirred.clear()

    async def last_output(self) -> tuple[str, ...]:
        """The last lines of an ended process, complete unless something keeps its pipe open."""
        try:
            async with asyncio.timeout(_DRAIN_WITHIN):
                await self._output_ended.wait()
        except TimeoutError:
            logger.debug("output still open model=%s pid=%s", self._label, self.pid)
        return self._tail.lines

    def kill(self) -> None:
        """KILL to the group, for one that hangs; `end` has still to follow."""
        if not self._exit.done():
            self._signal(signal.SIGKILL)

    async def end(self, grace: float) -> None:
        """TERM to the group, at most `grace` seconds of waiting, KILL, reap, close the pipes.

        Idempotent. 0 seconds of grace means KILL at once.
        """
        if self._ended:  # the group's number may belong to others by now
            await self.ended_within(_REAP_WITHIN)
            return
        self._ended = True
        began = time.monotonic()
        if not self._exit.done() and grace > 0:
            self._signal(signal.SIGTERM)
            if not await self.ended_within(grace):
                logger.warning(
                    "engine ignores TERM model=%s pid=%s seconds=%s", self._label, self.pid, grace
                )
        self._signal(signal.SIGKILL)  # also for what the child itself left in its group
        if not await self.ended_within(_REAP_WITHIN):
            logger.error("engine survives KILL model=%s pid=%s", self._label, self.pid)
        logger.info(
            "engine ended model=%s pid=%s code=%s seconds=%.3f",
            self._label, self.pid, self.exit_code, time.monotonic() - began,
        )  # fmt: skip
        if self._transport:
            self._transport.close()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # Nobody is left in the group; macOS says "not permitted" when all are zombies.
            return
        logger.debug("signal sent model=%s pid=%s signal=%s", self._label, self.pid, number.name)

    # asyncio calls what follows.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transport only looks like one.
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        self._tail.feed(data)
        self._stirred.set()

    def pipe_connection_lost(self, _fd: int, _error: Exception | None) -> None:
        self._tail.finish()
        self._output_ended.set()

    def process_exited(self) -> None:
        self._stirred.set()
        code = self._transport.get_returncode() if self._transport else None
        if not self._exit.done():
            self._exit.set_result(-signal.SIGKILL if code is None else code)
