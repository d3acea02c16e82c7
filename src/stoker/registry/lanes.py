"""Connection pools, one per reach, and the choice between them.

A pool connects only to addresses of its own reach, so an idle connection taken from it never
leads somewhere that the check did not allow.
"""

import ssl
from dataclasses import dataclass
from typing import final

import aiohttp
from yarl import URL

from stoker.registry.network import Fence, LaneResolver, Names, Reach, literal_of, refused
from stoker.registry.options import RegistryOptions
from stoker.registry.place import host_name
from stoker.registry.proxy import proxy_for
from stoker.registry.tls import TlsContexts


@dataclass(frozen=True, slots=True)
class Lane:
    """How one request travels."""

    session: aiohttp.ClientSession
    reach: Reach
    tls: ssl.SSLContext | bool
    proxy: URL | None = None


@final
class Lanes:
    """All connections of this process to registries."""

    def __init__(self, options: RegistryOptions, names: Names) -> None:
        self._options = options
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
        host = str(url.raw_host)
        proxy = proxy_for(url, self._options.proxies)
        reach = await self._reach(host, proxied=proxy is not None)
        if fence is not None and not self._is_trusted(url):
            fence.check(host, reach)
        tls = await self._tls.context(host_name(url)) if url.scheme == "https" else True
        return Lane(self._session(None if proxy else reach), reach, tls, proxy)

    async def _reach(self, host: str, *, proxied: bool) -> Reach:
        if proxied:
            # The proxy resolves names, in a network of its own; a literal can still be judged.
            literal = literal_of(host)
            if literal is None:
                return Reach.PUBLIC
            reach = self._names.reach_of(literal)
            if reach is Reach.FORBIDDEN:
                raise refused(host, "it is a link-local, metadata or unusable address")
            return reach
        return (await self._names.pin(host)).reach

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
