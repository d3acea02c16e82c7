"""Where a redirect may lead, decided on the address and not on the name (security row 8).

The endpoint is the user's own choice. Hosts that it names (its CDN) must not be more private than
it is: a public hub that redirects to 127.0.0.1 or to a cloud's metadata service is refused. The
resolver of the connections to other hosts answers with allowed addresses only, so what was checked
is what is connected to.
"""

import enum
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from stoker.base.errors import Denied

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[Sequence[ResolveResult]]]

_FORBIDDEN: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local: most clouds' metadata
        "100.100.100.200/32",  # Alibaba Cloud metadata
        "168.63.129.16/32",  # Azure's platform address
        "192.0.0.192/32",  # Oracle Cloud metadata
        "fe80::/10",
        "fd00:ec2::254/128",  # AWS metadata over IPv6
        "fd20:ce::254/128",  # Google Cloud metadata over IPv6
        "::/128",
    )
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class Reach(enum.IntEnum):
    """Who can see an address, from everyone to nobody."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    FORBIDDEN = 3


def reach_of(address: Address) -> Reach:
    """Classify an address; IPv4 addresses hidden in IPv6 ones are taken out first."""
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if hidden:
            return reach_of(hidden)
    if any(address in network for network in _FORBIDDEN if network.version == address.version):
        return Reach.FORBIDDEN
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_multicast or address.is_unspecified:
        return Reach.FORBIDDEN
    return Reach.PUBLIC if address.is_global else Reach.PRIVATE


def literal_of(host: str) -> Address | None:
    """The address when the host is written as one."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def refused(host: str, why: str) -> Denied:
    """Our own refusal to go somewhere."""
    return Denied(
        f"refused to connect to {host}: {why}",
        origin=host,
        hint="if this is a mirror's own storage, name the host in STOKER_TRUSTED_HOSTS",
    )


async def system_lookup(
    host: str, port: int, family: socket.AddressFamily
) -> Sequence[ResolveResult]:
    """Ask the system's resolver. Raises OSError."""
    resolver = ThreadedResolver()
    return await resolver.resolve(host, port, family)


@final
class Fence(AbstractResolver):
    """Knows how private the endpoint is, and resolves other hosts up to that."""

    def __init__(self, endpoint: str, *, lookup: Lookup = system_lookup) -> None:
        self._endpoint = endpoint
        self._lookup = lookup
        self._ceiling: Reach | None = None

    async def check_literal(self, host: str) -> None:
        """Raises Denied for an address that may not be led to; names are checked when resolved."""
        literal = literal_of(host)
        if literal is not None:
            self._check(host, literal, await self._known_ceiling())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The allowed addresses of a host. Raises Denied when there is none, OSError."""
        ceiling = await self._known_ceiling()
        found = await self._lookup(host, port, family)
        allowed = [entry for entry in found if _reach(entry) <= ceiling]
        if found and not allowed:
            literal = literal_of(found[0]["host"])
            if literal:
                self._check(host, literal, ceiling)
        return allowed

    async def close(self) -> None:
        """Nothing is held."""

    async def _known_ceiling(self) -> Reach:
        if self._ceiling is None:
            literal = literal_of(self._endpoint)
            if literal:
                self._ceiling = min(reach_of(literal), Reach.LOOPBACK)
            else:
                found = await self._lookup(self._endpoint, 0, socket.AF_UNSPEC)
                # Whoever answers for a name of several kinds may sit outside: the most public.
                reach = min((_reach(entry) for entry in found), default=Reach.PUBLIC)
                self._ceiling = min(reach, Reach.LOOPBACK)
        return self._ceiling

    @staticmethod
    def _check(host: str, address: Address, ceiling: Reach) -> None:
        reach = reach_of(address)
        if reach is Reach.FORBIDDEN:
            raise refused(host, f"{address} is a link-local, metadata or unusable address")
        if reach > ceiling:
            raise refused(
                host, f"a {ceiling.name.lower()} hub named it, and it is {reach.name.lower()}"
            )


def _reach(entry: ResolveResult) -> Reach:
    literal = literal_of(entry["host"])
    return Reach.FORBIDDEN if literal is None else reach_of(literal)
