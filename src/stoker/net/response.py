"""An answer whose body is still on the wire, read with limits."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final, final

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from stoker.base.errors import RemoteError
from stoker.net.failures import connection_error
from stoker.net.hosts import host_name
from stoker.net.reach import Reach
from stoker.net.service import Service

# Bytes read at once: as large as a store likes to hash and write in one go.
CHUNK: Final = 256 * 1024


@final
class Response:
    """What a host said, and where it is. Made by `Transport.send`, which also closes it."""

    def __init__(
        self, raw: aiohttp.ClientResponse, *, asked: URL, reach: Reach, service: Service
    ) -> None:
        self._raw = raw
        self.service: Final = service
        self.reach: Final = reach
        self.status: Final = raw.status
        self.url: Final = raw.url
        self.redirected: Final = raw.url.origin() != asked.origin()

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self._raw.headers

    @property
    def host(self) -> str:
        """Who answered: host and explicit port, never a path or query."""
        return host_name(self.url)

    @property
    def content_length(self) -> int | None:
        """What the header claims, when it is a number."""
        text = self._raw.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises the service's error when it is longer than `limit`."""
        held = bytearray()
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                held += chunk
                if len(held) > limit:
                    break
        if len(held) > limit:
            raise self.service.failure(
                f"{self.host} sent more than the {limit} bytes allowed for this answer",
                origin=self.host,
            )
        return bytes(held)

    async def read_some(self, limit: int) -> bytes:
        """At most `limit` bytes, as much as can be had: for error bodies."""
        held = bytearray()
        with contextlib.suppress(RemoteError):
            async with contextlib.aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    held += chunk
                    if len(held) >= limit:
                        break
        return bytes(held[:limit])

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it arrives. Raises Unreachable when it stalls or breaks off."""
        try:
            async for chunk in self._raw.content.iter_chunked(CHUNK):
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection_error(
                error, self.host, self.service, phase="in the middle of a download"
            ) from error
