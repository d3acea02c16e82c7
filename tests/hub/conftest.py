"""A hub shared by the tests of this directory; every test uses a repository of its own."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stoker.hub import HubClient, HubOptions
from stoker.hub.asker import Waiting
from stoker.net.options import NetOptions, Timeouts
from stoker.net.retry import RetryPolicy
from stoker.oci.content import Source
from stoker.oci.descriptor import Descriptor
from tests.components.hub import HubServer, hub_server
from tests.components.tiny_models import chat_model

_numbers = itertools.count(1)


async def read(source: Source, descriptor: Descriptor, *, at: int = 0) -> tuple[int, bytes]:
    """Where the stream began, and its bytes."""
    async with source.open(descriptor, at=at) as body:
        return body.offset, b"".join([chunk async for chunk in body])


class Naps:
    """Sleeping without waiting; remembers for how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)

    @property
    def waiting(self) -> Waiting:
        return Waiting(self, lambda: 1.0)


def quick(url: str) -> HubOptions:
    """Short limits; everything else is as in production."""
    net = NetOptions(
        retry=RetryPolicy(attempts=4, total=60.0),
        timeouts=Timeouts(connect=5.0, first_byte=5.0, idle=1.0),
    )
    return HubOptions(endpoint=url, net=net)


@pytest.fixture(scope="session")
def _server() -> Iterator[HubServer]:
    with hub_server() as running:
        yield running


@pytest.fixture
def server(_server: HubServer) -> HubServer:
    _server.reset()
    return _server


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real model of 0.3 MiB."""
    return chat_model(tmp_path_factory.mktemp("hub") / "tiny.gguf").read_bytes()


@pytest.fixture
def name() -> str:
    """A repository nobody else uses."""
    return f"Org/Tiny-{next(_numbers)}"


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def hub(server: HubServer, naps: Naps) -> AsyncIterator[HubClient]:
    async with HubClient(quick(server.url), waiting=naps.waiting) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the developer's token nor their proxy take part."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-hf-home"))
