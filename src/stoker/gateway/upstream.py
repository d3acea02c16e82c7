"""Connections to engines: a pool for each runner's unix socket."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from multidict import CIMultiDict

from stoker.gateway.connection import Connection, EngineGone

_KEEP_ALIVE: Final = 4.0
"""Seconds that an idle connection is kept. llama-server closes them after five: whoever lets go a
little earlier rarely meets the race between "server closes" and "client sends"."""
_CONNECT_WITHIN: Final = 10.0
"""Seconds; a local engine accepts at once or is stuck. Generation itself has no limit."""
_QUEUE_FULL: Final = 0.005
"""Seconds until it is tried again: no event tells when there is room."""

_Pool = deque[tuple[float, Connection]]


class EngineUnreachable(EngineGone):
    """Nobody accepts connections on the engine's socket."""


class Upstreams:
    """All pools. Use as an async context manager: leaving it closes every connection."""

    def __init__(self) -> None:
        self._idle: dict[Path, _Pool] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pool in self._idle.values():
            _close(pool)

    async def take(self, socket: Path, *, fresh: bool = False) -> Connection:
        """A connection to the engine that listens there, to be given `back`; `fresh`: a new one.

        Raises EngineUnreachable.
        """
        pool = None if fresh else self._idle.get(socket)
        now = time.monotonic()
        while pool:
            since, connection = pool.pop()
            if connection.usable and now - since < _KEEP_ALIVE:
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                return await _connected(socket)
        except OSError as error:
            raise EngineUnreachable(str(error)) from error

    def back(self, socket: Path, connection: Connection) -> None:
        """Its exchange is over; one that was left in the middle is closed."""
        if not connection.usable:
            connection.abort()
            return
        pool = self._idle.get(socket)
        if pool is None:
            self._forget_gone()
            pool = self._idle[socket] = deque()
        now = time.monotonic()
        pool.append((now, connection))
        while now - pool[0][0] > _KEEP_ALIVE:
            pool.popleft()[1].abort()

    @asynccontextmanager
    async def get(self, socket: Path, path: str) -> AsyncIterator[Connection]:
        """Ask an engine about itself. Raises EngineGone."""
        connection = await self.take(socket)
        try:
            yield await connection.send("GET", path, CIMultiDict(), b"")
        finally:
            self.back(socket, connection)

    def _forget_gone(self) -> None:
        """Runners come and go seldom: look for pools whose socket is gone when one comes."""
        for socket in [socket for socket in self._idle if not socket.exists()]:
            _close(self._idle.pop(socket))


async def _connected(socket: Path) -> Connection:
    loop = asyncio.get_running_loop()
    while True:
        try:
            _, connection = await loop.create_unix_connection(Connection, str(socket))
        except BlockingIOError:
            # Many come at once, and its queue of new connections is full: llama-server's has five.
            await asyncio.sleep(_QUEUE_FULL)
        else:
            return connection


def _close(pool: _Pool) -> None:
    for _, connection in pool:
        connection.abort()
