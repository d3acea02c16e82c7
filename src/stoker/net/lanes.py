"""Connection pools, one per reach, and the choice between them.

A pool connects only to addresses of its own reach, so an idle connection taken from it never
leads somewhere that the check did not allow.
"""

import ssl
from dataclasses import dataclass
from typing import final

import aiohttp
from yarl import URL

from stoker.base.errors import Unreachable
from stoker.net.hosts import host_name
from stoker.net.names import LaneResolver, Names
from stoker.net.options import NetOptions
from stoker.net.proxy import proxy_for
from stoker.net.reach import Fence, Reach, literal_of, refused
from stoker.net.service import Service
from stoker.net.tls import TlsContexts


@dataclass(frozen=True, slots=True)
class Lane:
    """How one request travels."""

    session: aiohttp.ClientSession
    reach: Reach
    tls: ssl.SSLContext | bool
    proxy: URL | None = None


@final
class Lanes:
    """All connections of one client."""

    def __init__(self, options: NetOptions, service: Service, names: Names) -> None:
        self._options = options
        self._service = service
        self._names = names
        self._tls = TlsContexts(ca_files=options.ca_files, certs_d=options.certs_d)
        self._sessions: dict[Reach | None, aiohttp.ClientSession] = {}

    async def aclose(self) -> None:
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    async def choose(self, url: URL, fence: Fence | None) -> Lane:
        """The way to this URL; without a fence the user named it. Raises Denied, Unreachable."""
        proxy = proxy_for(url, self._options.proxies)
        reach = await self._reach(url, proxied=proxy is not None)
        if fence is not None and not self._is_trusted(url):
            fence.check(str(url.raw_host), reach)
        tls = await self._tls.context(host_name(url)) if url.scheme == "https" else True
        return Lane(self._session(None if proxy else reach), reach, tls, proxy)

    async def reach(self, url: URL) -> Reach:
        """How private the host of this URL is. Raises Denied, Unreachable."""
        proxied = proxy_for(url, self._options.proxies) is not None
        return await self._reach(url, proxied=proxied)

    async def _reach(self, url: URL, *, proxied: bool) -> Reach:
        host = str(url.raw_host)
        if proxied:
            # The proxy resolves names, in a network of its own; a literal can still be judged.
            literal = literal_of(host)
            if literal is None:
                return Reach.PUBLIC
            reach = self._names.reach_of(literal)
            if reach is Reach.FORBIDDEN:
                raise refused(host, "it is a link-local, metadata or unusable address")
            return reach
        try:
            return (await self._names.pin(host)).reach
        except Unreachable as error:
            # Whoever resolves names does not know what was to be found behind them.
            error.hint = error.hint or self._service.unknown.format(host=host)
            raise

    def _is_trusted(self, url: URL) -> bool:
        trusted = self._options.trusted_hosts
        return host_name(url) in trusted or str(url.raw_host) in trusted

    def _session(self, reach: Reach | None) -> aiohttp.ClientSession:
        session = self._sessions.get(reach)
        if session is None:
            resolver = None if reach is None else LaneResolver(self._names, reach)
            session = aiohttp.ClientSession(
                # Callers bound their own concurrency; a limit here could only deadlock an open
                # download against the request it waits for.
                connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": self._options.user_agent},
                trust_env=False,  # that would also read ~/.netrc and send what it finds
            )
            self._sessions[reach] = session
        return session
