"""HTTP to the daemon for asyncio, on aiohttp: the twin of `transport`, with the same errors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, final

import aiohttp
from yarl import URL

from stoker.base.errors import ParseError
from stoker.client import failures
from stoker.client.call import MAX_ANSWER, Request
from stoker.client.endpoint import CONNECT_TIMEOUT, Endpoint
from stoker.client.transport import headers_of, target, tls_context

_PIECE: Final = 64 * 1024


@final
class AsyncStream:
    """The body of a successful answer while it arrives. Made by `AsyncTransport.open`."""

    def __init__(
        self, response: aiohttp.ClientResponse, endpoint: Endpoint, timeout: float | None
    ) -> None:
        self._response = response
        self._endpoint = endpoint
        self._timeout = timeout

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Pieces as they come. Raises Unreachable when the far side stops in the middle."""
        while True:
            with _translated(self._endpoint, self._timeout):
                data = await self._response.content.readany()
            if not data:
                return
            yield data

    async def read(self) -> bytes:
        """All of it. Raises ParseError when that is absurdly much."""
        body = bytearray()
        async for data in self.chunks():
            body += data
            if len(body) > MAX_ANSWER:
                raise ParseError(f"{self._endpoint} sent an answer longer than {MAX_ANSWER} bytes")
        return bytes(body)


@final
@dataclass(frozen=True, slots=True)
class AsyncTransport:
    """Requests to one endpoint, a connection for each. Stateless: nothing to close."""

    endpoint: Endpoint
    user_agent: str

    async def read(self, request: Request) -> bytes:
        """The whole body of a successful answer. Raises DaemonError, Unreachable, ParseError."""
        async with self.open(request) as stream:
            return await stream.read()

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[AsyncStream]:
        """A successful answer to read from inside the block; leaving it cancels the request."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT, sock_read=request.timeout
        )
        async with aiohttp.ClientSession(
            connector=_connector(self.endpoint),
            timeout=timeout,
            read_bufsize=_PIECE,
        ) as session:
            # Only what happens here is translated: an OSError of the caller's block is his own.
            with _translated(self.endpoint, request.timeout):
                response = await session.request(
                    request.method,
                    _url(self.endpoint, request),
                    data=_body(request.body),
                    headers=headers_of(self.endpoint, request, self.user_agent),
                    allow_redirects=False,
                )
                refused = b"" if response.status < failures.REDIRECT else await _start(response)
            async with response:
                if response.status >= failures.REDIRECT:
                    origin = str(self.endpoint)
                    raise failures.refusal(response.status, response.headers.get, refused, origin)
                yield AsyncStream(response, self.endpoint, request.timeout)


def _connector(endpoint: Endpoint) -> aiohttp.BaseConnector:
    if endpoint.scheme == "unix":
        return aiohttp.UnixConnector(endpoint.path)
    if endpoint.scheme == "https":
        return aiohttp.TCPConnector(ssl=tls_context(endpoint))
    return aiohttp.TCPConnector()


def _url(endpoint: Endpoint, request: Request) -> URL:
    # Encoded already: names in a route must arrive as the other client sends them.
    base = "http://localhost" if endpoint.scheme == "unix" else endpoint.authority
    return URL(f"{base}{target(endpoint, request)}", encoded=True)


def _body(body: bytes | Iterable[bytes] | None) -> bytes | AsyncIterator[bytes] | None:
    return body if isinstance(body, bytes | None) else _pieces(iter(body))


async def _pieces(body: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a blocking iterator gives, without holding up the others."""
    while (piece := await asyncio.to_thread(next, body, None)) is not None:
        yield piece


async def _start(response: aiohttp.ClientResponse) -> bytes:
    """A refusal's body, up to a limit."""
    body = bytearray()
    while len(body) < failures.MAX_ERROR and (data := await response.content.readany()):
        body += data
    return bytes(body[: failures.MAX_ERROR])


@contextmanager
def _translated(endpoint: Endpoint, timeout: float | None) -> Iterator[None]:
    origin = str(endpoint)
    try:
        yield
    except TimeoutError as error:
        raise failures.too_slow(origin, CONNECT_TIMEOUT if timeout is None else timeout) from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, ConnectionRefusedError | FileNotFoundError):
            raise failures.not_running(endpoint) from error
        raise failures.connection_failed(error.os_error, origin) from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise failures.connection_failed(error.certificate_error, origin) from error
    except aiohttp.ClientError as error:
        raise failures.cut_off(origin) from error
    except OSError as error:
        raise failures.connection_failed(error, origin) from error
