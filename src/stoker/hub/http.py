"""GET requests to the hub and to where it sends us: redirects, limits, timeouts by phase.

Redirects are followed here and not by aiohttp, because `Range` must survive them and
`Authorization` must not (security rows 8 and 9).
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final, final

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from stoker.base.errors import HubError, InvalidSetting
from stoker.hub.failures import connection_error
from stoker.hub.fence import Fence, Lookup, system_lookup
from stoker.hub.options import HubOptions
from stoker.hub.proxy import proxy_for
from stoker.hub.redirect import headers_for, host_name, is_redirect, target_of

MAX_REDIRECTS: Final = 10
# Bytes read at once: as large as a store likes to hash and write in one go.
CHUNK: Final = 256 * 1024


@final
class Response:
    """An answer whose body is still on the wire."""

    def __init__(self, raw: aiohttp.ClientResponse, *, elsewhere: bool) -> None:
        self._raw = raw
        self.status: Final = raw.status
        self.url: Final = raw.url
        self.host: Final = host_name(raw.url)
        self.elsewhere: Final = elsewhere
        """Whether a host that the hub named answered, and not the hub."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self._raw.headers

    @property
    def content_length(self) -> int | None:
        """What the header claims, when it is a number."""
        text = self._raw.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises HubError when it is longer than `limit`, Unreachable."""
        held = bytearray()
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                held += chunk
                if len(held) > limit:
                    raise HubError(
                        f"{self.host} sent more than the {limit} bytes allowed for this answer",
                        origin=self.host,
                    )
        return bytes(held)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it arrives. Raises Unreachable when it stalls or breaks off."""
        try:
            async for chunk in self._raw.content.iter_chunked(CHUNK):
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection_error(error, self.host, phase="in the middle of a download") from error


@final
class Transport:
    """Sends requests. One per client; `aclose` closes every connection."""

    def __init__(self, options: HubOptions, *, lookup: Lookup = system_lookup) -> None:
        self._options = options
        self._origin: Final = URL(options.endpoint).origin()
        self._lookup = lookup
        self._tls: ssl.SSLContext | None = None
        # Two pools: connections to hosts that the user chose (hub, proxy), and, through the
        # fence's resolver, to those that the hub named.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._fence = Fence(str(self._origin.raw_host), lookup=lookup)

    async def aclose(self) -> None:
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    @contextlib.asynccontextmanager
    async def get(
        self, url: URL, *, authorization: str | None, headers: Mapping[str, str]
    ) -> AsyncIterator[Response]:
        """GET through redirects; the answer may have any other status. The block holds it open.

        `authorization` is shown to the endpoint only. Raises Unreachable, Denied, HubError.
        """
        sent = dict(headers)
        if authorization and url.origin() == self._origin:
            sent["Authorization"] = authorization
        async with await self._follow(url, sent) as raw:
            yield Response(raw, elsewhere=raw.url.origin() != self._origin)

    async def _follow(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        for _ in range(MAX_REDIRECTS + 1):
            raw = await self._once(url, headers)
            if not is_redirect(raw.status):
                return raw
            location = raw.headers.get("Location")
            raw.close()
            target = target_of(url, location)
            headers = headers_for(target, url, headers)
            url = target
        host = host_name(url)
        raise HubError(f"{host} redirects more than {MAX_REDIRECTS} times", origin=host)

    async def _once(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        host, timeouts = host_name(url), self._options.timeouts
        proxy = proxy_for(url, self._options.proxies)
        fenced = url.origin() != self._origin and not self._is_trusted(url)
        try:
            if fenced:
                await self._fence.check_literal(str(url.raw_host))
            async with asyncio.timeout(timeouts.connect + timeouts.first_byte):
                # The proxy resolves names, in a network of its own; it is itself the user's choice.
                session = self._session(fenced=fenced and proxy is None)
                tls = await self._tls_context() if url.scheme == "https" else True
                return await session.get(
                    url,
                    # A digest is of the bytes as they are kept; nobody may repack them for us.
                    headers={"Accept-Encoding": "identity", **headers},
                    allow_redirects=False,
                    proxy=proxy,
                    ssl=tls,
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection_error(error, host) from error
        except ValueError as error:  # a URL or header that aiohttp refuses to send
            raise HubError(f"{host} led to an unusable address", origin=host) from error

    async def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            # Reading the system's bundle takes some 10 ms; the loop has better things to do.
            self._tls = await asyncio.to_thread(_tls_context, self._options)
        return self._tls

    def _session(self, *, fenced: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(fenced)
        if session is None:
            timeouts = self._options.timeouts
            session = self._sessions[fenced] = aiohttp.ClientSession(
                # Callers bound their own concurrency; a limit here could only deadlock an open
                # download against the request it waits for.
                connector=aiohttp.TCPConnector(
                    resolver=self._fence if fenced else None,
                    use_dns_cache=not fenced,
                    limit=0,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": self._options.user_agent},
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=timeouts.connect, sock_read=timeouts.idle
                ),
                trust_env=False,  # that would also read ~/.netrc and send what it finds
            )
        return session

    def _is_trusted(self, url: URL) -> bool:
        return bool({host_name(url), str(url.raw_host)} & self._options.trusted_hosts)


def _tls_context(options: HubOptions) -> ssl.SSLContext:
    context = ssl.create_default_context()  # honours SSL_CERT_FILE and SSL_CERT_DIR
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.ca_file and options.ca_file.exists():
        try:
            context.load_verify_locations(
                cafile=options.ca_file if options.ca_file.is_file() else None,
                capath=options.ca_file if options.ca_file.is_dir() else None,
            )
        except (ssl.SSLError, OSError) as error:
            raise InvalidSetting(
                f"{options.ca_file} is no readable certificate bundle: {error}"
            ) from error
    return context
