"""A stub daemon for every test that asks for one, and both clients behind one face."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol, cast

import pytest

from stoker import AsyncClient, Client
from stoker.client.async_transport import AsyncTransport
from stoker.client.call import Request
from stoker.client.endpoint import Endpoint
from stoker.client.transport import Transport
from tests.components.stub_daemon import SMOLLM2, Stub, stub_daemon


class Blocking:
    """An `AsyncClient` that is used like a `Client`: each call in an event loop of its own."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: object, **kwargs: object) -> Any:
            answer = method(*args, **kwargs)
            if isinstance(answer, AsyncIterator):
                return asyncio.run(_all(answer))
            return asyncio.run(answer)

        return call


async def _all(answers: AsyncIterator[Any]) -> list[Any]:
    return [answer async for answer in answers]


class Transports(Protocol):
    """Both transports: the whole body, and as many pieces as are wanted."""

    def read(self, endpoint: Endpoint, request: Request) -> bytes: ...

    def pieces(self, endpoint: Endpoint, request: Request, count: int = ...) -> list[bytes]: ...


class _Sync:
    def read(self, endpoint: Endpoint, request: Request) -> bytes:
        return Transport(endpoint).read(request)

    def pieces(self, endpoint: Endpoint, request: Request, count: int = 1_000_000) -> list[bytes]:
        found: list[bytes] = []
        with Transport(endpoint).open(request) as stream:
            for piece in stream.chunks():
                found.append(piece)
                if len(found) == count:
                    break
        return found


class _Async:
    def read(self, endpoint: Endpoint, request: Request) -> bytes:
        return asyncio.run(AsyncTransport(endpoint, "test").read(request))

    def pieces(self, endpoint: Endpoint, request: Request, count: int = 1_000_000) -> list[bytes]:
        async def collect() -> list[bytes]:
            found: list[bytes] = []
            async with (
                AsyncTransport(endpoint, "test").open(request) as stream,
                aclosing(stream.chunks()) as chunks,
            ):
                async for piece in chunks:
                    found.append(piece)
                    if len(found) == count:
                        break
            return found

        return asyncio.run(collect())


@pytest.fixture(params=[_Sync, _Async], ids=["sync", "async"])
def http(request: pytest.FixtureRequest) -> Transports:
    made: Transports = request.param()
    return made


@pytest.fixture
def daemon() -> Iterator[Stub]:
    with stub_daemon() as stub:
        stub.models.append(dict(SMOLLM2))
        yield stub


@pytest.fixture(params=["sync", "async"])
def client(daemon: Stub, request: pytest.FixtureRequest) -> Client:
    if request.param == "sync":
        return Client(daemon.url)
    return cast("Client", Blocking(AsyncClient(daemon.url)))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose sockets fit in a socket address; pytest's own paths are often too long."""
    with tempfile.TemporaryDirectory(prefix="st", dir="/tmp") as name:
        yield Path(name).resolve()
