"""Docker Hub's list of models: pages, terms, and answers that are none."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from tests.components.docker_hub import DockerHub, docker_hub
from tests.registry.conftest import QUICK

from stoker.base.errors import (
    Denied,
    InvalidSetting,
    ParseError,
    RateLimited,
    RegistryError,
    StokerError,
)
from stoker.registry.client import RegistryClient
from stoker.registry.options import options_of


@pytest.fixture
def hub() -> Iterator[DockerHub]:
    with docker_hub() as running:
        yield running


@pytest.fixture
async def catalogue(hub: DockerHub) -> AsyncIterator[RegistryClient]:
    async with RegistryClient(replace(QUICK, catalogue=hub.url)) as client:
        yield client


async def names(client: RegistryClient, term: str, limit: int = 32) -> list[str]:
    return [found.name for found in await client.search(term, limit=limit)]


async def test_the_most_pulled_first(hub: DockerHub, catalogue: RegistryClient) -> None:
    hub.add("small", "Little one", pulls=1)
    hub.add("big", "A SMALL description", pulls=1000)
    hub.add("secret-small", pulls=9, private=True)
    assert await names(catalogue, "") == ["ai/big", "ai/small"]
    assert await names(catalogue, " Small ") == ["ai/big", "ai/small"]
    (found,) = await catalogue.search("little", limit=1)
    assert (found.name, found.downloads, found.stars) == ("ai/small", 1, 3)


async def test_pages_are_followed_as_far_as_needed(
    hub: DockerHub, catalogue: RegistryClient
) -> None:
    for number in range(250):
        hub.add(f"m{number}", pulls=number)
    assert len(await names(catalogue, "", 150)) == 150
    assert len(hub.seen) == 2
    fitting = ["ai/m72", "ai/m71", "ai/m70", "ai/m7"]
    assert (await names(catalogue, "m7", 1000))[-4:] == fitting
    assert len(hub.seen) == 5


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>", ParseError),
        (200, b"[" * 100_000, ParseError),
        (200, b'{"results":[{"name":3}]}', ParseError),
        (200, b'{"results":[],"next":"http://169.254.169.254/"}', Denied),
        (200, b'{"results":[],"next":"file:///etc/passwd"}', RegistryError),
        (200, b" " * (5 << 20), RegistryError),
        (404, b"", RegistryError),
        (503, b"", RegistryError),
    ],
)
async def test_answers_that_are_none(
    hub: DockerHub, catalogue: RegistryClient, status: int, body: bytes, error: type[StokerError]
) -> None:
    hub.answer = status, {}, body
    with pytest.raises(error):
        await catalogue.search("", limit=5)


async def test_a_limit_of_requests(hub: DockerHub, catalogue: RegistryClient) -> None:
    hub.answer = 429, {"Retry-After": "90"}, b""
    with pytest.raises(RateLimited) as caught:
        await catalogue.search("", limit=5)
    assert caught.value.retry_after == 90


async def test_a_list_without_end(hub: DockerHub, catalogue: RegistryClient) -> None:
    again = f'{{"results":[],"next":"{hub.url}/v2/repositories/ai/?again"}}'
    hub.answer = 200, {}, again.encode()
    assert await names(catalogue, "") == []
    assert len(hub.seen) == 50


def test_another_address() -> None:
    assert options_of({"STOKER_DOCKER_HUB": "http://h:1/"}).catalogue == "http://h:1"
    assert options_of({}).catalogue == "https://hub.docker.com"
    with pytest.raises(InvalidSetting, match="STOKER_DOCKER_HUB"):
        options_of({"STOKER_DOCKER_HUB": "h"})
