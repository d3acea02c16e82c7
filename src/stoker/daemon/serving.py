"""The application on its listeners."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from stoker.daemon.connections import ConnectionLimits, Connections

# Longer than proxies keep an unused connection, so that they are the ones who close it.
_KEEP_ALIVE: Final = 75.0
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, and the certificate to show on it."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None


@asynccontextmanager
async def serving(
    app: web.Application, listeners: Sequence[Listener], limits: ConnectionLimits
) -> AsyncIterator[None]:
    """Answer requests while the block runs; those that are left at its end are cut."""
    # handler_cancellation: a client that leaves cancels its request, and generation ends.
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=1.0,
        keepalive_timeout=_KEEP_ALIVE,
    )
    await runner.setup()
    if runner.server is None:
        raise AssertionError("set up runners have a server")
    connections = Connections(runner.server, limits)
    loop = asyncio.get_running_loop()
    servers = []
    try:
        for listener in listeners:
            server = await loop.create_server(
                connections.protocol,
                sock=listener.socket,
                backlog=_BACKLOG,
                ssl=listener.tls,
                ssl_handshake_timeout=limits.header if listener.tls else None,
            )
            servers.append(server)
        with connections.watched():
            yield
    finally:
        for server in servers:
            server.close()
        await runner.cleanup()
