"""The typed methods, and chat."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import get_origin

import pytest

from stoker import AsyncClient, ChatMessage, Client, __version__
from stoker.base.errors import DaemonError, ParseError
from stoker.client.chat import Answer, Delta, Usage
from stoker.wire.manage import Configure
from tests.components.stub_daemon import ID, Stub


def test_models(client: Client) -> None:
    (model,) = client.models()
    assert (model.id, model.tags) == (ID, ["docker.io/ai/smollm2:latest"])
    assert client.models_openai().data[0].id == "docker.io/ai/smollm2:latest"


def test_inspect(client: Client, daemon: Stub) -> None:
    assert client.inspect("docker.io/ai/smollm2:latest").config["parameters"] == "361.82M"
    client.inspect("smollm2", remote=True)
    assert daemon.requests[-1].query == {"remote": "true"}
    with pytest.raises(DaemonError, match="model not found") as caught:
        client.inspect("nope")
    assert caught.value.status == 404


def test_pull(client: Client, daemon: Stub) -> None:
    records = list(client.pull("other", bearer_token="t"))
    assert [record.type for record in records] == ["progress"] * 3 + ["success"]
    assert daemon.requests[0].body == {"from": "other", "bearer-token": "t"}


def test_push(client: Client, daemon: Stub) -> None:
    assert list(client.push("smollm2"))[-1].message == "Model pushed successfully"
    assert daemon.paths() == ["POST /models/smollm2/push"]


def test_changes(client: Client, daemon: Stub) -> None:
    assert client.tag("smollm2", "docker.io/me/x", "v1").target == "docker.io/me/x:v1"
    assert client.remove("smollm2", force=True)[-1] == {"Deleted": ID}
    assert daemon.requests[-1].query == {"force": "true"}
    client.purge()
    assert daemon.paths()[-1] == "DELETE /models/purge"


def test_runners(client: Client, daemon: Stub) -> None:
    assert client.ps() == []
    assert client.df().models_disk_usage == 270610000
    assert client.status() == {"llama.cpp": "Running: b1"}
    assert client.version() == "9.9"
    assert client.unload(["a"], backend="vllm") == 0
    assert daemon.requests[-1].body == {"backend": "vllm", "models": ["a"]}


def test_configure(client: Client, daemon: Stub) -> None:
    client.configure(Configure(model="m", context_size=8192))
    assert daemon.requests[-1].body == {"context-size": 8192, "model": "m"}
    assert client.configurations("m") == []
    assert daemon.requests[-1].query == {"model": "m"}


def test_preload(client: Client, daemon: Stub) -> None:
    client.preload("smollm2", backend="llama.cpp")
    assert daemon.paths() == ["POST /engines/llama.cpp/v1/chat/completions"]
    assert daemon.requests[0].headers["x-preload-only"] == "true"
    assert daemon.requests[0].body["messages"] == []


def test_chat_streams_and_counts(daemon: Stub) -> None:
    daemon.reasoning = ["hm"]
    with Client(daemon.url).chat("smollm2", [ChatMessage("user", "hi")]) as answer:
        deltas = list(answer)
    assert deltas == [Delta(reasoning="hm"), Delta("Hello"), Delta(" there")]
    assert answer.usage == Usage(7, 2, 9)
    assert answer.finish_reason == "stop"
    assert daemon.chats()[0]["messages"] == [{"role": "user", "content": "hi"}]


async def test_chat_streams_and_counts_in_asyncio(daemon: Stub) -> None:
    async with AsyncClient(daemon.url).chat("smollm2", [ChatMessage("user", "hi")]) as answer:
        assert [delta async for delta in answer] == [Delta("Hello"), Delta(" there")]
    assert (answer.usage, answer.finish_reason) == (Usage(7, 2, 9), "stop")


def test_leaving_a_chat_cancels_it(daemon: Stub) -> None:
    daemon.stall_after = 1
    with Client(daemon.url).chat("smollm2", [ChatMessage("user", "hi")]) as answer:
        assert next(iter(answer)) == Delta("Hello")
    assert daemon.gone.wait(5)


async def test_leaving_a_chat_cancels_it_in_asyncio(daemon: Stub) -> None:
    daemon.stall_after = 1
    async with (
        AsyncClient(daemon.url).chat("smollm2", [ChatMessage("user", "hi")]) as answer,
        aclosing(aiter(answer)) as deltas,
    ):
        assert await anext(deltas) == Delta("Hello")
    assert await asyncio.to_thread(daemon.gone.wait, 5)


def test_one_json_object_instead_of_a_stream() -> None:
    body = b'{"model": "m", "choices": [{"message": {"content": "all"}, "finish_reason": "stop"}]}'
    answer = Answer([body], "test")
    assert list(answer) == [Delta("all")]
    assert (answer.model, answer.finish_reason) == ("m", "stop")


def test_what_is_not_the_answer() -> None:
    lines = [b"Installing llama.cpp", b": loading 42%", b"", b"event: x", b"data: [DONE]", b"junk"]
    expected = [Delta(notice="Installing llama.cpp"), Delta(state="loading 42%")]
    assert list(Answer([b"\n".join(lines)], "test")) == expected


def test_other_choices_are_nobodys() -> None:
    line = b'data: {"choices": [{"index": 1, "delta": {"content": "no"}}]}'
    assert list(Answer([line], "test")) == []


def test_an_error_inside_the_stream() -> None:
    line = b'data: {"error": {"message": "engine died", "code": "engine_crashed"}}'
    with pytest.raises(DaemonError, match="engine died") as caught:
        list(Answer([line], "test"))
    assert caught.value.remote_code == "engine_crashed"


@pytest.mark.parametrize("line", [b"data: {", b'data: {"choices": 3}', b"data: \xff"])
def test_a_chunk_that_makes_no_sense(line: bytes) -> None:
    with pytest.raises(ParseError):
        list(Answer([line], "test"))


def test_an_answer_of_another_shape(client: Client, daemon: Stub) -> None:
    daemon.backends = {"llama.cpp": 3}  # type: ignore[dict-item]
    with pytest.raises(ParseError, match="does not parse"):
        client.status()


def test_an_error_record_ends_a_pull(client: Client, daemon: Stub) -> None:
    text = '{"type": "error", "message": "Error: disk full"}\n'
    daemon.fail["/models/create"] = (200, text, {})
    with pytest.raises(DaemonError, match=r"^disk full$"):
        list(client.pull("x"))


def test_logs(client: Client, daemon: Stub) -> None:
    assert b"".join(client.logs()).count(b"\n") == 2
    assert daemon.requests[0].query == {}
    list(client.logs(engines=False, backend="vllm"))
    assert daemon.requests[1].query == {"no-engines": "true", "backend": "vllm"}


def test_who_asks(client: Client, daemon: Stub) -> None:
    client.version()
    assert daemon.requests[0].headers["user-agent"] == f"stoker/{__version__}"


def test_recorded_requests(client: Client, daemon: Stub) -> None:
    assert client.requests("smollm2") == []
    assert daemon.requests[0].query == {"model": "smollm2"}
    (recorded,) = list(client.follow_requests(include_existing=True))
    assert recorded[0].records[0].status_code == 200
    assert daemon.requests[1].query == {"include_existing": "true"}
    assert daemon.requests[1].headers["accept"] == "text/event-stream"


def test_an_archive_is_sent_in_pieces(client: Client, daemon: Stub) -> None:
    with pytest.raises(DaemonError):  # the stub takes none
        client.load(iter([b"tar", b"ball"]))
    assert daemon.requests[0].headers["content-type"] == "application/x-tar"


def test_the_two_clients_have_the_same_methods() -> None:
    """Names, parameters and words; an answer is awaited, an iterator is asynchronous."""
    names = {name for name in vars(Client) if not name.startswith("_")}
    assert names == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in names - {"chat"}:
        here = inspect.signature(getattr(Client, name))
        there = inspect.signature(getattr(AsyncClient, name))
        assert here.parameters == there.parameters
        assert inspect.getdoc(getattr(Client, name)) == inspect.getdoc(getattr(AsyncClient, name))
        if get_origin(here.return_annotation) is Generator:
            assert get_origin(there.return_annotation) is AsyncGenerator
        else:
            assert here.return_annotation == there.return_annotation
            assert inspect.iscoroutinefunction(getattr(AsyncClient, name))


def test_closing_a_pull_cancels_it(daemon: Stub) -> None:
    daemon.stall_after = 1
    records = Client(daemon.url).pull("other")
    assert next(records).type == "progress"
    records.close()
    assert daemon.gone.wait(5)


async def test_closing_a_pull_cancels_it_in_asyncio(daemon: Stub) -> None:
    daemon.stall_after = 1
    async with aclosing(AsyncClient(daemon.url).pull("other")) as records:
        assert (await anext(records)).type == "progress"
    assert await asyncio.to_thread(daemon.gone.wait, 5)


async def test_a_cancelled_task_leaves_the_daemon(daemon: Stub) -> None:
    daemon.stall_after = 1
    begun = asyncio.Event()

    async def pull() -> None:
        async for _ in AsyncClient(daemon.url).pull("other"):
            begun.set()

    task = asyncio.create_task(pull())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(daemon.gone.wait, 5)
