"""Reading what a client sends: bounded in size, in pauses and in time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from stoker.base.errors import BodyTooSlow, Busy, PayloadTooLarge, UserError

# Read from a connection at once; an archive of 100 GB is that many hand-overs fewer.
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """`body` in bytes: images travel inside requests, so it is generous. `bodies`: of all together.

    `pause`: seconds to wait for the next bytes of a body. `rate`: bytes a second that a body must
    bring on the whole, so that one byte before each pause ends is not enough.
    """

    body: int = 256 * 1024 * 1024
    pause: float = 30.0
    rate: int = 4096
    bodies: int = 1024 * 1024 * 1024


LIMITS: Final = web.AppKey("limits", Limits)
_TAKEN: Final = web.RequestKey("taken", int)


class Bodies:
    """How many bytes of bodies are in memory, until their requests are over."""

    def __init__(self) -> None:
        self._held = 0

    def take(self, request: web.Request, count: int) -> None:
        """So many more bytes have come. Raises Busy when there would be too many."""
        if self._held + count > request.app[LIMITS].bodies:
            raise Busy(
                "the large requests that are being answered leave no room for one more",
                hint="send it again when one of them is over",
            )
        self._held += count
        request[_TAKEN] = request.get(_TAKEN, 0) + count

    def give_back(self, request: web.Request) -> None:
        """The request is over."""
        self._held -= request.get(_TAKEN, 0)


BODIES: Final = web.AppKey("bodies", Bodies)


async def paced(request: web.Request) -> AsyncGenerator[bytes, None]:
    """The body as it comes, of any length. Raises BodyTooSlow, UserError for a broken coding.

    Only waiting for the client counts; the reader may take its time.
    """
    limits = request.app[LIMITS]
    clock = asyncio.get_running_loop().time
    waited, size = 0.0, 0
    while True:
        left = limits.pause + size / limits.rate - waited
        began = clock()
        try:
            async with asyncio.timeout(min(limits.pause, left)):
                chunk = await request.content.read(_CHUNK)
        except TimeoutError:
            raise BodyTooSlow(
                f"the request's body came too slowly: {size} bytes in {waited + limits.pause:.0f} s"
            ) from None
        except web.RequestPayloadError as error:
            raise UserError(
                "the request's body is not what its Content-Encoding or Transfer-Encoding says"
            ) from error
        if not chunk:
            return
        waited += clock() - began
        size += len(chunk)
        yield chunk


async def read_body(request: web.Request, most: int | None = None) -> bytes:
    """A body of at most so many bytes, by default what a model request may have.

    Raises PayloadTooLarge, as soon as that is certain, Busy, and what `paced` raises.
    """
    limit = request.app[LIMITS].body if most is None else most
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.content.is_eof():  # it came with its header, as most do: nothing to wait for
        whole = request.content.read_nowait()
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
    chunks: list[bytes] = []
    size = 0
    bodies = request.app[BODIES]
    async with aclosing(paced(request)) as body:
        async for chunk in body:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            bodies.take(request, len(chunk))
            chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"request too large: at most {limit} bytes are accepted")
