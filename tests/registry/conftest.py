"""Registries shared by the tests of this directory; every test uses a repository of its own."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.components.faults import FaultProxy, fault_proxy
from tests.components.oci_registry import RunningRegistry, oci_registry

from stoker.net.options import NetOptions, Timeouts
from stoker.net.retry import RetryPolicy
from stoker.oci.content import Source
from stoker.oci.descriptor import Descriptor
from stoker.registry.client import RegistryClient
from stoker.registry.options import RegistryOptions

_numbers = itertools.count(1)

# The waits of a test are short; everything else is as in production.
CHUNK = 256 * 1024
QUICK = RegistryOptions(
    net=NetOptions(
        retry=RetryPolicy(attempts=3, base=0.01, cap=0.02, total=5.0),
        timeouts=Timeouts(connect=15.0, first_byte=15.0, idle=15.0),
    ),
    upload_chunk=CHUNK,
)


def quick(**net: Any) -> RegistryOptions:
    """The same with other settings of the network."""
    return replace(QUICK, net=replace(QUICK.net, **net))


async def read(source: Source, descriptor: Descriptor, *, at: int = 0) -> tuple[int, bytes]:
    """Where the stream began, and its bytes."""
    async with source.open(descriptor, at=at) as body:
        return body.offset, b"".join([chunk async for chunk in body])


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
async def proxy(registry: RunningRegistry) -> AsyncIterator[FaultProxy]:
    """The registry, seen through a proxy that does what the test tells it."""
    async with fault_proxy(registry.host) as running:
        yield running


@pytest.fixture
def repository_name() -> str:
    """A repository nobody else uses."""
    return f"tests/model{next(_numbers)}"


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient(QUICK) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the developer's credentials nor their proxy take part."""
    for name in ("DOCKER_USERNAME", "DOCKER_PASSWORD", "INSECURE_REGISTRY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
