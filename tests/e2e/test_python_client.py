"""docs/reference/python.md: each example runs, and no method is missing."""

import asyncio
import subprocess
import sys

import pytest

import stoker
from tests.components.daemon import Daemon
from tests.components.documents import ROOT, blocks

PAGE = "docs/reference/python.md"
SHOWN = {
    0: ("success", "docker.io/ai/pilot:latest", "Stoker", "completion_tokens="),
    1: ("success", "["),
    2: ("True", "pilot", "1h0m0s", "1"),
    3: ("404 model_not_found stoker pull nonesuch", "Stoker is not running"),
}


@pytest.mark.parametrize("number", range(4))
def test_the_examples(daemon: Daemon, number: int) -> None:
    code = blocks(PAGE, "python")[number]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(daemon.env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in SHOWN[number]), done.stdout


def test_every_method_is_on_the_page() -> None:
    page = (ROOT / PAGE).read_text()
    names = [name for name in vars(stoker.Client) if not name.startswith("_")]
    assert [name for name in names if f"`{name}(" not in page] == []


async def test_the_asynchronous_client_on_a_real_service(daemon: Daemon) -> None:
    """Management, two chats at once, and one that is left in the middle."""
    client = stoker.AsyncClient(daemon.url)
    assert (await client.version()) == stoker.__version__
    assert (await client.inspect("pilot")).tags == ["docker.io/ai/pilot:latest"]
    await client.tag("pilot", "docker.io/me/async")
    assert await client.remove("me/async") == [{"Untagged": "docker.io/me/async:latest"}]

    async def ask(text: str) -> str:
        message = stoker.ChatMessage("user", text)
        async with client.chat("pilot", [message], max_tokens=8) as answer:
            said = "".join([delta.text async for delta in answer])
        assert answer.usage is not None
        assert 0 < answer.usage.completion_tokens <= 8
        return said

    assert all(await asyncio.gather(ask("hello"), ask("What is Stoker?")))
    async with client.chat("pilot", [stoker.ChatMessage("user", "hello")]) as answer:
        await anext(aiter(answer))
    assert await client.unload(["pilot"]) == 1
    with pytest.raises(stoker.DaemonError, match="model not found"):
        await client.preload("nonesuch")


def test_the_archive_goes_round(daemon: Daemon) -> None:
    client = stoker.Client(daemon.url)
    client.load(client.export("pilot"))
    assert len(client.models()) == 1


def test_only_public_names() -> None:
    assert {"Client", "AsyncClient"} <= set(dir(stoker))
    with pytest.raises(AttributeError, match="no attribute 'Nonesuch'"):
        stoker.Nonesuch  # noqa: B018  # the attribute's absence is the point
