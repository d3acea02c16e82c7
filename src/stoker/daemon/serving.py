"""The application on its listeners."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from stoker.daemon.connections import ConnectionLimits, Connections
from stoker.daemon.conversation import Conversation

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
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    if runner.server is None:
        raise AssertionError("set up runners have a server")
    loop = asyncio.get_running_loop()
    talk = partial(
        Conversation,
        runner.server,
        loop=loop,
        access_log=None,  # type: ignore[arg-type]  # it asks whether there is one
        keepalive_timeout=_KEEP_ALIVE,
    )
    connections = Connections(talk, limits)
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
