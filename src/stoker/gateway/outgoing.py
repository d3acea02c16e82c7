"""The client's side of one answer: opened by whoever has something to say first, exactly once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientConnectionResetError, web
from multidict import CIMultiDict

from stoker.base.errors import StokerError
from stoker.gateway.answer import EVENT_STREAM, Answer
from stoker.gateway.exchange import Exchange

_FIRST_SIGN: Final = 1.0
"""Seconds of waiting before a client is told that its model loads, and then once more each time."""


class ClientGone(ConnectionError):
    """The client closed its connection. Not the engine's fault, and nobody is left to be told."""


class Outgoing:
    """Sends one answer. `sent`: the client has begun to receive what the engine said."""

    def __init__(self, request: web.Request, answer: Answer, seen: Exchange) -> None:
        self.answer = answer
        self.seen = seen
        self.sent = False
        self._request = request
        self._response: web.StreamResponse | None = None

    def granted(self, served: str) -> None:
        """The runner is there; the engine calls the model `served`."""
        self.seen.name = served
        self.seen.granted = time.monotonic()
        self.answer.begin(served, self.seen.granted - self.seen.began)

    @property
    def opened(self) -> bool:
        """Headers are on their way: whatever comes now comes inside of a stream."""
        return self._response is not None

    @asynccontextmanager
    async def signs_of_life(self, state: Callable[[], str]) -> AsyncIterator[None]:
        """While the block waits, tell the client so about once a second. `state`: in a few words.

        A model that is there costs one timer and nothing else.
        """
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        signs: list[asyncio.Task[None]] = []
        timer = loop.call_later(
            _FIRST_SIGN, lambda: signs.append(loop.create_task(self._sign(over, state)))
        )
        try:
            yield
        finally:
            timer.cancel()
            over.set()
            for task in signs:
                await task

    async def _sign(self, over: asyncio.Event, state: Callable[[], str]) -> None:
        while not over.is_set():
            sign = self.answer.waiting(state())
            if not sign:
                return
            try:
                await (await self._open(200, CIMultiDict())).write(sign)
            except ConnectionError:
                return  # the request itself is cancelled at the same time
            try:
                async with asyncio.timeout(_FIRST_SIGN):
                    await over.wait()
            except TimeoutError:
                continue

    async def begin(self, status: int, headers: CIMultiDict[str]) -> None:
        """The engine has begun to stream."""
        await self._open(status, headers)
        self.sent = True

    async def write(self, chunk: bytes) -> None:
        """Send what the engine said. Raises ClientGone."""
        data = self.answer.feed(chunk)
        if data and self._response is not None:
            self.seen.saw(data)
            try:
                await self._response.write(data)
            except ClientConnectionResetError as error:
                raise ClientGone from error

    async def finish(self) -> web.StreamResponse:
        """The end of a stream."""
        rest = self.answer.flush()
        self.seen.saw(rest)
        return await self._close(rest)

    async def whole(
        self, status: int, headers: CIMultiDict[str], body: bytes
    ) -> web.StreamResponse:
        """An answer in one piece."""
        data = self.answer.whole(status, body)
        self.seen.saw(data)
        if self._response is not None:
            return await self._close(self.answer.failed(data))
        return web.Response(status=status, body=data, headers=headers)

    async def fail(self, error: StokerError) -> web.StreamResponse:
        """End an opened stream with an error as its last event."""
        event = self.answer.failed(self.answer.error(error))
        if not self.sent:
            return await self._close(event)
        if self._response is None:
            raise AssertionError("nothing can be sent before the headers")
        await self._response.write(event)
        # Cut: an answer that breaks off must not look complete.
        if self._request.transport is not None:
            self._request.transport.abort()
        return self._response

    async def _open(self, status: int, headers: CIMultiDict[str]) -> web.StreamResponse:
        if self._response is None:
            response = web.StreamResponse(status=status, headers=headers)
            response.headers["Content-Type"] = self.answer.stream_type
            if self.answer.stream_type == EVENT_STREAM:
                response.headers["Cache-Control"] = "no-cache"
            # Set before the first await: nobody else may open it meanwhile.
            self._response = response
            await response.prepare(self._request)
        return self._response

    async def _close(self, data: bytes) -> web.StreamResponse:
        if self._response is None:
            raise AssertionError("a stream ends after it has begun")
        try:
            if data:
                await self._response.write(data)
            await self._response.write_eof()
        except ClientConnectionResetError as error:
            raise ClientGone from error
        return self._response
