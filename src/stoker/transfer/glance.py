"""Looking into content without fetching it: small blobs whole, large ones by parts."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, Self, final

from stoker.base.errors import ParseError
from stoker.oci.content import Body, Source
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import MAX_METADATA

MAX_RECEIVED: Final = 96 * 1024 * 1024
"""Bytes of one blob. More than any header our parsers read, and what is taken at most from a source
that sends everything when it was asked for a part."""


async def read_small(source: Source, descriptor: Descriptor, what: str) -> bytes:
    """A manifest or a config, whole. Raises ParseError for a large one, and what the source does.

    Nobody checks the digest here: who keeps the bytes must.
    """
    if descriptor.size > MAX_METADATA:
        raise ParseError(f"{what}: {descriptor.size} bytes, at most {MAX_METADATA} are read")
    async with source.open(descriptor) as body:
        return b"".join([chunk async for chunk in body])


@final
class Glance:
    """Parts of one blob, in rising order, as the parser of a header asks for them.

    A source that answers a range with everything is read on from where it stands, over what nobody
    asked for. Use as an async context manager: it closes that stream. `received` counts what came.
    """

    def __init__(self, source: Source, blob: Descriptor, *, most: int = MAX_RECEIVED) -> None:
        self._source = source
        self._blob = blob
        self._most = most
        self._open = contextlib.AsyncExitStack()
        self._stream: AsyncIterator[bytes] | None = None
        self._rest = b""
        self._at = 0
        self.received = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def read(self, at: int, length: int) -> bytes:
        """Some bytes, fewer at the end. Raises ParseError past `most`, and what the source does."""
        end = min(at + length, self._blob.size)
        data = bytearray()
        while (here := at + len(data)) < end:
            if self._stream is None or self._at > here:
                await self._begin(here, end)
            if not self._rest:
                await self._fetch()
                continue
            passed = min(here - self._at, len(self._rest))
            part = self._rest[passed : passed + end - here]
            data += part
            self._rest = self._rest[passed + len(part) :]
            self._at += passed + len(part)
        return bytes(data)

    async def _begin(self, at: int, end: int) -> None:
        await self._open.aclose()
        opened = self._source.open(self._blob, at=at, length=end - at)
        body = await self._open.enter_async_context(opened)
        self._stream = await self._open.enter_async_context(contextlib.aclosing(_chunks(body)))
        self._at, self._rest = body.offset, b""

    async def _fetch(self) -> None:
        if self._stream is None:
            raise AssertionError("a stream is begun before it is read")
        self._rest = await anext(self._stream, b"")
        if not self._rest:
            self._stream = None  # the part ended where it was to end; the next one is asked for
        self.received += len(self._rest)
        if self.received > self._most:
            raise ParseError(
                f"{self._blob.digest}: no end of its header in {self._most} bytes",
                hint="the server may not send parts of files: pull the model, then plan it",
            )


async def _chunks(body: Body) -> AsyncGenerator[bytes]:
    async for chunk in body:
        yield chunk
