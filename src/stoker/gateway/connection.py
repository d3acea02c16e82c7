"""One HTTP/1.1 connection to an engine: a request goes out, its answer comes back as it arrives.

A general client spends more on a request than all the rest of the gateway: here are no redirects,
cookies, proxies, retries or compression, only RFC 9112 over a local socket, parsed by llhttp.
"""

import asyncio
from typing import Final, Self, cast

import httptools
from multidict import CIMultiDict

_HIGH_WATER: Final = 64 * 1024
"""Unread bytes at which the engine is held back: more than any token, little for many streams."""
_MAX_HEAD: Final = 64 * 1024


class EngineGone(Exception):
    """The connection broke, or the engine sent what is no answer."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time: `send`, then `read` until it answers nothing.

    `status` and `headers` are those of the answer. `idle`: no exchange is under way and another may
    begin. `used_before`: the last request sent was not its first.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.idle = True
        self.used_before = False
        self._used = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._held = 0
        self._head_size = 0
        self._paused = False
        self._complete = False
        self._until_closed = False
        self._broken: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """Idle, and the engine has not hung up: that is known before `connection_lost` says so."""
        return self.idle and self._transport is not None and not self._transport.is_closing()

    async def send(self, method: str, path: str, headers: CIMultiDict[str], body: bytes) -> Self:
        """Send a request and wait for the head of its answer. Raises EngineGone."""
        self.used_before, self._used = self._used, True
        self.status = self._head_size = 0
        if self._transport is None or self._transport.is_closing():
            raise EngineGone("closed")
        self.idle = self._complete = False
        self.headers = CIMultiDict()
        self._taken()
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        self._transport.writelines((head, b"\r\n\r\n", body))
        while not self.status and not self._broken:
            await self._news()
        self._check()
        return self

    async def read(self) -> bytes:
        """What has arrived since the last call; empty at the end. Raises EngineGone."""
        while not self._chunks:
            if self._complete:
                return b""
            self._check()
            await self._news()
        data = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._taken()
        return data

    async def whole(self) -> bytes:
        """The rest of the answer. Raises EngineGone."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def abort(self) -> None:
        """Close at once: an engine stops to generate for whom it cannot reach."""
        if self._transport is not None:
            self._transport.abort()

    def _taken(self) -> None:
        """Nothing is held any more: the engine may go on."""
        self._chunks.clear()
        self._held = 0
        if self._paused and self._transport is not None:
            self._transport.resume_reading()
        self._paused = False

    def _check(self) -> None:
        if self._broken and not self._complete:
            raise EngineGone(str(self._broken)) from self._broken

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.idle:  # nobody asked
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken = error
            self.abort()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._until_closed and error is None:
            self.on_message_complete()
        self.idle = False
        self._broken = self._broken or error or ConnectionResetError("the engine hung up")
        self._wake()

    # llhttp calls these.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > _MAX_HEAD:
            raise ValueError("the engine's headers never end")
        self.headers.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and the like announce the answer
            self.headers.clear()
            return
        framed = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        self._until_closed = not framed
        self.status = status

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._held += len(body)
        if self._held > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status < 200:
            return
        self._complete = True
        self.idle = self._parser.should_keep_alive()
