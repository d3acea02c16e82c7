"""Connections: how many there may be, and how long one may say nothing or take nothing.

A protocol of our own stands between a socket and aiohttp's. It counts, looks for the end of the
first header, and notes when a client stops taking what is sent. One timer looks at all of them;
nothing is started or awaited for a request or for a piece of a stream.
"""

import asyncio
import fcntl
import ipaddress
import resource
import sys
import termios
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, cast, final

from aiohttp import web

from stoker.daemon.repeating import repeating

# An event loop has no use for more.
_MOST_FILES: Final = 65536
# Store, logs, engines' pipes, transfers.
_OWN_FILES: Final = 128
_MOST: Final = 16384


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`total` and `per_client` in connections, 0 for what the machine can hold; times in seconds.

    `header`: until a new connection has sent its first header. `write`: without taking a byte of
    what waits for it. Connections of this machine are one another's neighbours, not one client:
    only `total` counts for them. The unix socket has no limit, so that its owner always gets in.
    """

    total: int = 0
    per_client: int = 1024
    header: float = 10.0
    write: float = 60.0


def open_files() -> int:
    """Raise the limit of open files as far as may be; how many we may have now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def room(files: int) -> int:
    """How many connections fit into that many files: each may need one more to an engine."""
    return max(16, min(_MOST, (files - _OWN_FILES) // 2))


@final
class Connections:
    """All connections of the daemon. `protocol` is what listeners make of a new one."""

    def __init__(self, inner: Callable[[], web.RequestHandler], limits: ConnectionLimits) -> None:
        self._inner = inner
        self._limits = limits
        possible = room(open_files())
        self._total = min(limits.total, possible) or possible
        self._count = 0
        self._clients: Counter[str] = Counter()
        # In the order they came, which a dict keeps.
        self._silent: dict[Connection, None] = {}
        self._stalled: dict[Connection, None] = {}
        self._clock = asyncio.get_running_loop().time

    def protocol(self) -> asyncio.Protocol:
        """The factory for `create_server`."""
        return Connection(self, self._inner)

    def watched(self) -> AbstractContextManager[None]:
        """Look after them while the block runs."""
        pause = min(1.0, self._limits.header / 4, self._limits.write / 4)
        return repeating(pause, self._sweep)

    def enter(self, connection: "Connection", client: str | None) -> bytes:
        """Take in a connection; else what to tell it. `client` as in `client_of`."""
        if client is None:
            self._silent[connection] = None
            return b""
        if client and self._clients[client] >= self._limits.per_client:
            return _refusal(429, "Too Many Requests", f"too many connections from {client}")
        if self._count >= self._total:
            oldest = next((c for c in self._silent if c.client is not None), None)
            if oldest is None:
                return _refusal(503, "Service Unavailable", "too many connections")
            # Who has not asked anything yet makes room for who may.
            oldest.cut()
        self._count += 1
        self._clients[client] += 1
        self._silent[connection] = None
        return b""

    def leave(self, connection: "Connection", client: str | None) -> None:
        """It is closed."""
        self._silent.pop(connection, None)
        self._stalled.pop(connection, None)
        if client is not None:
            self._count -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    def spoke(self, connection: "Connection") -> None:
        """Its first header is complete."""
        self._silent.pop(connection, None)

    def stalls(self, connection: "Connection") -> None:
        """The kernel holds all that it can for this client."""
        self._stalled[connection] = None

    def takes(self, connection: "Connection") -> None:
        """It has taken everything."""
        self._stalled.pop(connection, None)

    def _sweep(self) -> None:
        now = self._clock()
        for connection in list(self._silent):
            if now - connection.began < self._limits.header:
                break  # the rest came later
            connection.cut()
        for connection in list(self._stalled):
            if connection.idle(now) > self._limits.write:
                connection.cut()


@final
class Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol."""

    __slots__ = ("_all", "_inner", "_left", "_make", "_since", "_tail", "began", "client", "line")

    line: asyncio.Transport

    def __init__(self, connections: Connections, make: Callable[[], web.RequestHandler]) -> None:
        self._all = connections
        self._make = make
        self._inner = asyncio.Protocol()  # deaf, until the connection is taken in
        self._tail: bytes | None = b""
        self._since = 0.0
        self._left: int | None = None
        self.began = asyncio.get_running_loop().time()
        self.client: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.line = cast("asyncio.Transport", transport)
        client = client_of(transport.get_extra_info("peername"))
        refusal = self._all.enter(self, client)
        if refusal:
            self.line.write(refusal)
            self.line.close()
            return
        self.client = client
        # Writing waits until the kernel has everything. A slow reader holds back its own engine and
        # nothing else, and an answer that is "sent" survives the end of the daemon.
        self.line.set_write_buffer_limits(high=0)
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(self._inner, web.RequestHandler):
            self._all.leave(self, self.client)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._tail is not None:
            # Line breaks before a request are skipped (RFC 9112, section 2.2), and end no header.
            seen = self._tail + data if self._tail else data.lstrip(b"\r\n")
            # An empty line ends a header, and strict parsers may wait for a carriage return in it.
            if b"\n\r\n" in seen or b"\n\n" in seen:
                self._tail = None
                self._all.spoke(self)
            else:
                self._tail = seen[-2:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._left = None
        self._all.stalls(self)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._all.takes(self)
        self._inner.resume_writing()

    def idle(self, now: float) -> float:
        """Seconds since the client was seen to take something of what waits for it."""
        left = self.line.get_write_buffer_size() + _unread(self.line)
        if self._left is None or left < self._left:
            self._left, self._since = left, now
        return now - self._since

    def cut(self) -> None:
        """Close it now; a request it carries is cancelled."""
        self._all.spoke(self)
        self.line.abort()


def client_of(peer: object) -> str | None:
    """Whom connections from there count for: empty for this machine, None for the unix socket."""
    if not isinstance(peer, tuple):
        return None
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is None and not address.is_loopback:
            # Nobody has fewer addresses than these.
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = mapped or address
    return "" if address.is_loopback else str(address)


def _unread(line: asyncio.Transport) -> int:
    """Bytes that the kernel holds and the client has not taken.

    It asks for more only when a third of some megabytes is gone: a slow client may need a minute.
    """
    descriptor = line.get_extra_info("socket").fileno()
    count = bytearray(4)
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, count)
    except OSError:
        return 0  # only Linux answers this for every kind of socket
    return int.from_bytes(count, sys.byteorder)


def _refusal(status: int, reason: str, text: str) -> bytes:
    return (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text) + 1}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{text}\n"
    ).encode()
