"""A hub behind TLS of a company's own authority."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stoker.base.errors import Unreachable
from stoker.hub import HubClient, HubOptions
from stoker.net.names import Names
from tests.components.local_ca import LocalCa
from tests.hub.conftest import quick


async def loopback(_: str) -> Sequence[str]:
    return ["127.0.0.1"]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
    await writer.drain()
    writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> LocalCa:
    return LocalCa(tmp_path / "ca")


@pytest.fixture
async def host(authority: LocalCa) -> AsyncIterator[str]:
    issued = authority.issue(["hub.test"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield f"hub.test:{server.sockets[0].getsockname()[1]}"


async def search(host: str, **net: Any) -> int:
    options: HubOptions = quick(f"https://{host}")
    options = replace(options, net=replace(options.net, **net))
    async with HubClient(options, names=Names(resolve=loopback)) as hub:
        return len(await hub.search("x"))


async def test_an_authority_of_the_environment_or_of_certs_d(
    host: str, authority: LocalCa, tmp_path: Path
) -> None:
    assert await search(host, ca_files=(authority.certificate,)) == 0
    own = tmp_path / "certs.d" / host
    own.mkdir(parents=True)
    (own / "ca.crt").write_bytes(authority.certificate.read_bytes())
    assert await search(host, certs_d=(tmp_path / "certs.d",)) == 0


async def test_an_unknown_authority(host: str) -> None:
    with pytest.raises(Unreachable, match=r"certificate of hub\.test") as caught:
        await search(host)
    assert "REQUESTS_CA_BUNDLE" in str(caught.value.hint)
