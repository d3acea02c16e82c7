"""Addresses: who may be connected to."""

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base.errors import Denied, Unreachable
from stoker.net.names import LaneResolver, Names
from stoker.net.reach import Fence, Reach, reach_of

PUBLIC, PRIVATE, LOOPBACK, FORBIDDEN = Reach


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("93.184.216.34", PUBLIC),
        ("2606:4700::1111", PUBLIC),
        ("10.1.2.3", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("192.168.1.1", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("fd12:3456::1", PRIVATE),
        ("127.0.0.1", LOOPBACK),
        ("127.255.255.254", LOOPBACK),
        ("::1", LOOPBACK),
        ("169.254.169.254", FORBIDDEN),
        ("169.254.0.1", FORBIDDEN),
        ("fe80::1", FORBIDDEN),
        ("fd00:ec2::254", FORBIDDEN),
        ("100.100.100.200", FORBIDDEN),
        ("168.63.129.16", FORBIDDEN),
        ("192.0.0.192", FORBIDDEN),
        ("0.0.0.0", FORBIDDEN),
        ("0.1.2.3", FORBIDDEN),
        ("::", FORBIDDEN),
        ("224.0.0.1", FORBIDDEN),
        ("ff02::1", FORBIDDEN),
        # dressed up as IPv6
        ("::ffff:169.254.169.254", FORBIDDEN),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("::ffff:10.0.0.1", PRIVATE),
        ("64:ff9b::a9fe:a9fe", FORBIDDEN),
        ("64:ff9b::5db8:d822", PUBLIC),
        ("2002:a9fe:a9fe::1", FORBIDDEN),
        ("2002:7f00:1::", LOOPBACK),
    ],
)
def test_reach(text: str, reach: Reach) -> None:
    assert reach_of(ipaddress.ip_address(text)) is reach


@given(st.ip_addresses())
def test_every_address_has_a_reach(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert reach_of(address) in Reach


class _Dns:
    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_a_name_is_resolved_once() -> None:
    dns = _Dns(["10.0.0.1"], ["93.184.216.34"])
    now = [0.0]
    names = Names(resolve=dns, clock=lambda: now[0])
    assert (await names.pin("r.example")).reach is PRIVATE
    assert (await names.pin("r.example")).reach is PRIVATE
    assert dns.asked == 1
    now[0] = 61.0
    assert (await names.pin("r.example")).reach is PUBLIC


async def test_row_8_a_name_with_mixed_addresses_counts_as_public() -> None:
    pin = await Names(resolve=_Dns(["10.0.0.1", "93.184.216.34", "127.0.0.1"])).pin("r.example")
    assert pin.reach is PUBLIC
    assert [str(address) for address in pin.addresses] == ["93.184.216.34"]


async def test_row_8_rebinding_between_check_and_connect_is_noticed() -> None:
    now = [0.0]
    names = Names(resolve=_Dns(["93.184.216.34"], ["127.0.0.1"]), clock=lambda: now[0])
    assert (await names.pin("evil.example")).reach is PUBLIC
    now[0] = 61.0  # the pin ran out just before aiohttp asks
    with pytest.raises(OSError, match="moved"):
        await LaneResolver(names, PUBLIC).resolve("evil.example", 443)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "metadata.google.internal", "fe80::1%eth0", "Metadata.Goog."]
)
async def test_row_8_metadata_services_are_refused_by_any_name(host: str) -> None:
    with pytest.raises(Denied, match="refused to connect"):
        await Names(resolve=_Dns(["169.254.169.254"])).pin(host)


async def test_row_8_a_name_for_a_metadata_address_is_refused() -> None:
    with pytest.raises(Denied, match=r"169\.254\.169\.254"):
        await Names(resolve=_Dns(["169.254.169.254"])).pin("harmless.example")


async def test_no_address_and_no_such_name() -> None:
    async def fails(host: str) -> Sequence[str]:
        raise OSError("Name or service not known")

    with pytest.raises(Unreachable, match="cannot find the host"):
        await Names(resolve=fails).pin("nowhere.example")
    with pytest.raises(Unreachable, match="no address"):
        await Names(resolve=_Dns([])).pin("nowhere.example")


def test_fence() -> None:
    Fence(PUBLIC, PRIVATE).check("h", PUBLIC)
    with pytest.raises(Denied, match="a public host named it, and it is private"):
        Fence(PUBLIC, PUBLIC).check("h", PRIVATE)
    with pytest.raises(Denied, match="it is public"):
        Fence(PRIVATE, PRIVATE).check("h", PUBLIC)
