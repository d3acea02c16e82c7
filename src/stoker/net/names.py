"""What names mean: resolved once, kept for a while, and judged by the addresses behind them.

Each reach has a connector of its own whose resolver answers with addresses of that reach only, so
what was checked is what is connected to, also when the name's owner changes DNS in between or an
old connection is used again.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from aiohttp.abc import AbstractResolver, ResolveResult

from stoker.base.errors import Broken, Unreachable
from stoker.net.reach import Address, Reach, literal_of, reach_of, refused

Resolve = Callable[[str], Awaitable[Sequence[str]]]
ReachOf = Callable[[Address], Reach]

# Long enough that one transfer sees one answer, short enough to follow a move.
PIN_SECONDS: Final = 60.0
# A host has a handful of addresses; nobody needs more than this of them.
_MAX_ADDRESSES: Final = 16
_MAX_NAMES: Final = 1024
_FORBIDDEN_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "metadata"})


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
            ) from error
        found = [a for text in dict.fromkeys(texts) if (a := literal_of(text)) is not None]
        if not found:
            raise Unreachable(f"the host {host} has no address", origin=host)
        return found[:_MAX_ADDRESSES]


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
