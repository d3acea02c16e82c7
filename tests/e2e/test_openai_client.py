"""The openai package against the real daemon and the real engine."""

import json
import threading
import urllib.request

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.components.daemon import Daemon

PREFIXES = ("/engines/v1", "/engines/llama.cpp/v1", "/v1")
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


def client(daemon: Daemon, prefix: str = "/engines/v1") -> openai.OpenAI:
    return openai.OpenAI(base_url=daemon.url + prefix, api_key="not needed", max_retries=0)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["pilot", "ai/pilot:latest"])
def test_a_chat_streams_under_every_path_and_name(daemon: Daemon, prefix: str, name: str) -> None:
    stream = client(daemon, prefix).chat.completions.create(
        model=name,
        messages=HELLO,
        max_tokens=8,
        temperature=0,
        stream=True,
    )
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {name}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_the_same_question_gets_the_same_answer_streamed_or_not(daemon: Daemon) -> None:
    create = client(daemon).chat.completions.create
    whole = create(model="pilot", messages=HELLO, temperature=0, seed=1)
    parts = create(model="pilot", messages=HELLO, temperature=0, seed=1, stream=True)
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    assert whole.usage
    assert whole.usage.completion_tokens > 0
    assert whole.model == "pilot"


def test_completions(daemon: Daemon) -> None:
    answer = client(daemon).completions.create(model="pilot", prompt="Stoker", max_tokens=4)
    assert answer.choices[0].text


def test_models_are_listed_and_found(daemon: Daemon) -> None:
    models = list(client(daemon).models.list())
    assert [model.id for model in models] == ["docker.io/ai/pilot:latest"]
    assert client(daemon).models.retrieve("pilot").owned_by == "docker"


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("no-such-model", openai.NotFoundError, "stoker pull no-such-model"),
        ("not a name", openai.BadRequestError, "invalid model reference"),
        ("", openai.BadRequestError, "model is required"),
    ],
)
def test_wrong_names_raise_the_clients_own_errors(
    daemon: Daemon, model: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        client(daemon).chat.completions.create(model=model, messages=HELLO)


def test_an_unknown_engine_is_named(daemon: Daemon) -> None:
    with pytest.raises(openai.NotFoundError, match="backend not found"):
        client(daemon, "/engines/nonesuch/v1").chat.completions.create(
            model="pilot",
            messages=HELLO,
        )


def test_a_client_that_leaves_stops_the_generation(daemon: Daemon) -> None:
    """The runner is free again long before 100,000 tokens could have been written."""
    stream = client(daemon).chat.completions.create(
        model="pilot",
        messages=HELLO,
        max_tokens=100_000,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(iter(stream))
    assert _busy(daemon)
    stream.close()
    free = threading.Event()
    for _ in range(100):
        if not _busy(daemon):
            free.set()
            break
        threading.Event().wait(0.05)
    assert free.is_set()


def _busy(daemon: Daemon) -> bool:
    with urllib.request.urlopen(f"{daemon.url}/engines/ps") as answer:
        return any(runner.get("in_use") for runner in json.load(answer))


def test_two_first_requests_share_one_load(daemon: Daemon) -> None:
    daemon.cli("unload", "--all")
    answers: list[str] = []

    def ask() -> None:
        answer = client(daemon).chat.completions.create(
            model="pilot",
            messages=HELLO,
            max_tokens=2,
        )
        answers.append(answer.id)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(daemon.engine_pids()) == 1
