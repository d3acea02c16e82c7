"""Which addresses may be connected to, decided on the address itself and not on a name.

A host can name others: in a redirect, as its token realm, as the place to upload to. It must not
make us visit what only we can see (security row 8). Every address has a `Reach`; a host may lead on
to hosts of its own reach or a more public one, and never to link-local or metadata addresses. Pure.
"""

import enum
import ipaddress
from dataclasses import dataclass
from typing import Final

from stoker.base.errors import Denied

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

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
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")  # carrier-grade NAT, also Tailscale


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
                host,
                f"a {self.high.name.lower()} host named it, and it is {reach.name.lower()}",
                hint=f"if you trust it, set STOKER_TRUSTED_HOSTS={host}",
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


def refused(host: str, why: str, *, hint: str | None = None) -> Denied:
    """Our own refusal to go somewhere."""
    return Denied(f"refused to connect to {host}: {why}", origin=host, hint=hint)
