"""Registries shared by the tests of this directory; every test uses a repository of its own."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.components.oci_registry import RunningRegistry, oci_registry

from stoker.registry.client import RegistryClient
from stoker.registry.options import RegistryOptions
from stoker.registry.retry import RetryPolicy

_numbers = itertools.count(1)

# The waits of a test are short; everything else is as in production.
QUICK = RegistryOptions(retry=RetryPolicy(attempts=3, base=0.01, cap=0.02, total=5.0))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("registry")) as running:
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
