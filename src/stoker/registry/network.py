"""Which addresses may be connected to, decided on the address itself and not on a name.

A registry can name other hosts: in a redirect, as its token realm, as the place to upload to. It
must not make us visit what only we can see (security row 8). Every address has a `Reach`; a host
may lead on to hosts of its own reach or a more public one, and never to link-local or metadata
addresses. Each reach has a connector of its own whose resolver answers with addresses of that
reach only, so what was checked is what is connected to, also when the name's owner changes DNS in
between or an old connection is used again.
"""

import asyncio
import enum
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from aiohttp.abc import AbstractResolver, ResolveResult

from stoker.base.errors import Denied, Unreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Awaitable[Sequence[str]]]
ReachOf = Callable[[Address], "Reach"]

# Long enough that one transfer sees one answer, short enough to follow a move.
PIN_SECONDS: Final = 60.0
# A registry has a handful of addresses; nobody needs more than this of them.
_MAX_ADDRESSES: Final = 16
_MAX_NAMES: Final = 1024

_FORBIDDEN: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local: most clouds' metadata
        "100.100.100.200/32",  # Alibaba Cloud metadata
        "168.63.129.16/32",  # Azure's platform address
        "192.0.0.192/32",  # Oracle Cloud metadata
        "fe80::/10",
        "fec0::/10",
        "fd00:ec2::254/128",  # AWS metadata over IPv6
        "fd20:ce::254/128",  # Google Cloud metadata over IPv6
        "::/128",
    )
)
_FORBIDDEN_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "metadata"})
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")  # carrier-grade NAT, also Tailscale


class Broken(Unreachable):
    """A connection that failed in a way that may pass: worth another try."""


class Reach(enum.IntEnum):
    """Who can see an address, from everyone to nobody. A larger one is more private."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    FORBIDDEN = 3


@dataclass(frozen=True, slots=True)
class Fence:
    """The hosts that someone may send us to: from `low` to `high`."""

    low: Reach
    high: Reach

    def check(self, host: str, reach: Reach) -> None:
        """Raises Denied for a host outside."""
        if reach > self.high:
            raise refused(
                host, f"a {self.high.name.lower()} host named it, and it is {reach.name.lower()}"
            )
        if reach < self.low:
            raise refused(
                host, f"it is {reach.name.lower()}, and a private host on another domain named it"
            )


def reach_of(address: Address) -> Reach:
    """Classify an address; IPv4 addresses hidden in IPv6 ones are taken out first."""
    hidden = _hidden_ipv4(address)
    if hidden is not None:
        # The tunnel itself is public, so the stricter of the two decides.
        return reach_of(hidden)
    if any(address in network for network in _FORBIDDEN if network.version == address.version):
        return Reach.FORBIDDEN
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        return Reach.FORBIDDEN
    if address.version == 4 and (address in _SHARED or address.is_private):
        return Reach.PRIVATE
    if address.version == 6 and not address.is_global:
        return Reach.PRIVATE
    return Reach.FORBIDDEN if address.is_reserved else Reach.PUBLIC


def _hidden_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def literal_of(host: str) -> Address | None:
    """The address when the host is written as one."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


async def system_resolve(host: str) -> Sequence[str]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True)
class Pin:
    """What a name meant when it was asked for."""

    addresses: tuple[Address, ...]
    reach: Reach
    expires: float


@final
class Names:
    """Resolves a name once and keeps the answer for a while."""

    def __init__(
        self,
        *,
        resolve: Resolve = system_resolve,
        reach: ReachOf = reach_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._clock = clock
        self._pins: dict[str, Pin] = {}
        self.reach_of: Final = reach

    async def pin(self, host: str) -> Pin:
        """Addresses of a host and their reach. Raises Unreachable, Denied.

        A name with addresses of several kinds counts as the most public of them: whoever answers
        for such a name may sit outside.
        """
        now = self._clock()
        known = self._pins.get(host)
        if known and known.expires > now:
            return known
        addresses = await self._addresses(host)
        usable = [a for a in addresses if self.reach_of(a) is not Reach.FORBIDDEN]
        if not usable:
            raise refused(host, f"{addresses[0]} is a link-local, metadata or unusable address")
        reach = min(self.reach_of(address) for address in usable)
        kept = tuple(a for a in usable if self.reach_of(a) is reach)
        pin = Pin(kept, reach, now + PIN_SECONDS)
        if len(self._pins) >= _MAX_NAMES:
            self._pins.clear()
        self._pins[host] = pin
        return pin

    async def _addresses(self, host: str) -> list[Address]:
        literal = literal_of(host)
        if literal is not None:
            return [literal]
        if host.lower().rstrip(".") in _FORBIDDEN_NAMES:
            raise refused(host, "it is a cloud metadata service")
        try:
            texts = await self._resolve(host)
        except (OSError, UnicodeError) as error:
            passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            raise (Broken if passing else Unreachable)(
                f"cannot find the host {host}: {getattr(error, 'strerror', None) or error}",
                origin=host,
                hint="check the spelling of the registry, and this machine's DNS and network",
            ) from error
        found = [a for text in dict.fromkeys(texts) if (a := literal_of(text)) is not None]
        if not found:
            raise Unreachable(f"the host {host} has no address", origin=host)
        return found[:_MAX_ADDRESSES]


def refused(host: str, why: str) -> Denied:
    """Our own refusal to go somewhere."""
    return Denied(f"refused to connect to {host}: {why}", origin=host)


@final
class LaneResolver(AbstractResolver):
    """Answers aiohttp with pinned addresses of one reach, and nothing else."""

    def __init__(self, names: Names, reach: Reach) -> None:
        self._names = names
        self._reach = reach

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # aiohttp's signature
    ) -> list[ResolveResult]:
        pin = await self._names.pin(host)
        if pin.reach is not self._reach:
            raise OSError(f"{host} moved to another kind of network")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in pin.addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""
