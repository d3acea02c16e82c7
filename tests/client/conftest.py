"""A stub daemon on TCP for every test that asks for one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.client import Client
from stoker.client.endpoint import parse_endpoint
from tests.components.stub_daemon import SMOLLM2, Stub, stub_daemon


@pytest.fixture
def daemon() -> Iterator[Stub]:
    with stub_daemon() as stub:
        stub.models.append(dict(SMOLLM2))
        yield stub


@pytest.fixture
def client(daemon: Stub) -> Client:
    return Client(parse_endpoint(daemon.url, origin="test"))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose sockets fit in a socket address; pytest's own paths are often too long."""
    with tempfile.TemporaryDirectory(prefix="st", dir="/tmp") as name:
        yield Path(name).resolve()
