"""HTTP connections to engines: one pool for each runner's unix socket."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

# llama-server announces `Keep-Alive: timeout=5`; a pool that lets go a little earlier rarely meets
# the race between "server closes" and "client sends".
_KEEP_ALIVE: Final = 4.0
# A local engine accepts at once or is stuck; generation itself has no limit.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
# Larger than any token, smaller than what hurts with a thousand streams.
_READ_BUFFER: Final = 64 * 1024


class Upstreams:
    """All pools. Use as an async context manager."""

    def __init__(self) -> None:
        self._sessions: dict[Path, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def session(self, socket: Path) -> aiohttp.ClientSession:
        """The pool of the engine that listens there."""
        session = self._sessions.get(socket)
        if session is None:
            await self._close_gone()
            session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(
                    path=str(socket), limit=0, keepalive_timeout=_KEEP_ALIVE
                ),
                timeout=_TIMEOUT,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=_READ_BUFFER,
            )
            self._sessions[socket] = session
        return session

    async def _close_gone(self) -> None:
        """Runners come and go seldom: look for pools whose socket is gone when one comes."""
        for socket in [socket for socket in self._sessions if not socket.exists()]:
            await self._sessions.pop(socket).close()
