"""What engines speak themselves passes through, on every path that Docker Model Runner has."""

from typing import Any

import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask

HELLO = [{"role": "user", "content": "hello"}]
MESSAGE = {"model": "pilot", "max_tokens": 4, "messages": HELLO}
RANK = {"model": "test/rank", "query": "a b", "documents": ["a b", "c"]}
PREFIXES = ("", "/engines", "/engines/llama.cpp")

# Every other route that llama-server has; reached, they would show prompts or change the engine.
ENGINE_ONLY = (
    "/props", "/slots", "/slots/0?action=erase", "/lora-adapters", "/models/load", "/tools",
    "/v1/chat/completions/control", "/completion", "/infill", "/embedding", "/v1/props",
    "/engines/llama.cpp/props", "/engines/llama.cpp/slots", "/engines/v1/slots",
    "/v1/chat/completions/../../slots", "/v1/responses/../slots",
)  # fmt: skip


@pytest.mark.parametrize("prefix", [*PREFIXES, "/anthropic"])
def test_messages_and_their_tokens(daemon: Daemon, prefix: str) -> None:
    answer = ask(daemon, "POST", f"{prefix}/v1/messages", MESSAGE)
    assert answer.status == 200
    assert answer.json["content"][0]["text"]
    counted = ask(daemon, "POST", f"{prefix}/v1/messages/count_tokens", MESSAGE)
    assert counted.json["input_tokens"] > 0


@pytest.mark.parametrize("path", [p + v for p in PREFIXES for v in ("/rerank", "/v1/rerank")])
def test_rerank(daemon: Daemon, path: str) -> None:
    answer = ask(daemon, "POST", path, RANK)
    assert answer.status == 200
    assert {result["index"] for result in answer.json["results"]} == {0, 1}


@pytest.mark.parametrize("path", [p + v for p in PREFIXES for v in ("/score", "/v1/score")])
def test_score(daemon: Daemon, path: str) -> None:
    body = {"model": "test/rank", "text_1": "a b", "text_2": ["a b", "c"]}
    answer = ask(daemon, "POST", path, body)
    assert [one["index"] for one in answer.json["data"]] == [0, 1]
    assert all(isinstance(one["score"], float) for one in answer.json["data"])
    many = ask(daemon, "POST", path, {**body, "text_1": ["a", "b"]})
    assert many.status == 400
    assert "ask once for each" in many.json["error"]["message"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_chat_without_v1_as_litellm_asks(daemon: Daemon, prefix: str) -> None:
    body = {"model": "pilot", "max_tokens": 4, "messages": HELLO}
    assert ask(daemon, "POST", f"{prefix}/chat/completions", body).status == 200
    missing = ask(daemon, "POST", f"{prefix}/chat/completions", {**body, "model": "no-such"})
    assert missing.json["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/rerank", {"query": "", "documents": [""]}),
        ("/rerank", {"query": "a", "documents": ["b"], "top_n": -1}),
        ("/score", {}),
        ("/score", {"text_1": "", "text_2": ""}),
        ("/v1/detokenize", {"tokens": [99_999_999]}),
    ],
)
def test_what_an_engine_would_stumble_over_is_refused(
    daemon: Daemon, path: str, wrong: dict[str, Any]
) -> None:
    # `pilot` has no marks of its own around a text: of two empty ones no token is left.
    answer = ask(daemon, "POST", path, {"model": "pilot", **wrong})
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


def test_text_to_tokens_and_back(daemon: Daemon) -> None:
    cut = ask(daemon, "POST", "/v1/tokenize", {"model": "pilot", "content": "hello"})
    joined = ask(daemon, "POST", "/v1/detokenize", {"model": "pilot", "tokens": cut.json["tokens"]})
    assert joined.json["content"].strip() == "hello"
    shown = ask(daemon, "POST", "/v1/apply-template", {"model": "pilot", "messages": HELLO})
    assert "hello" in shown.json["prompt"]


@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"model": "no-such"}, 404, "not_found_error"),
        ({}, 400, "invalid_request_error"),
        (b"{", 400, "invalid_request_error"),
        ({"model": "pilot"}, 400, "invalid_request_error"),
    ],
)
def test_anthropics_errors(daemon: Daemon, path: str, body: object, status: int, kind: str) -> None:
    answer = ask(daemon, "POST", path, body)
    assert (answer.status, answer.json["type"]) == (status, "error")
    assert answer.json["error"]["type"] == kind
    assert answer.json["error"]["message"]


def test_a_chat_model_asked_for_embeddings_says_what_to_do(daemon: Daemon) -> None:
    answer = ask(daemon, "POST", "/v1/embeddings", {"model": "pilot", "input": "hi"})
    assert answer.status == 400
    assert "--pooling mean" in answer.json["error"]["message"]


def test_an_image_for_a_model_that_cannot_see(daemon: Daemon) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {"model": "pilot", "messages": [{"role": "user", "content": [picture]}]}
    answer = ask(daemon, "POST", "/v1/chat/completions", body)
    assert answer.status == 400
    assert "cannot see images" in answer.json["error"]["message"]


def test_a_range_is_for_reading_files(daemon: Daemon) -> None:
    """RFC 9110, section 14.2: what is no GET has none; llama.cpp answered 416 and nothing else."""
    ranges = {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(500))}
    body = {"model": "pilot", "prompt": "hi", "max_tokens": 1}
    assert ask(daemon, "POST", "/v1/completions", body, ranges).status == 200


def test_a_prompt_that_is_too_long_is_refused_by_the_engine(daemon: Daemon) -> None:
    body = {"model": "pilot", "messages": [{"role": "user", "content": "word " * 20_000}]}
    answer = ask(daemon, "POST", "/v1/chat/completions", body)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "exceed_context_size_error"


@pytest.mark.parametrize("path", ENGINE_ONLY)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_of_an_engine_is_reachable(daemon: Daemon, method: str, path: str) -> None:
    answer = ask(daemon, method, path, {"model": "pilot"} if method == "POST" else None)
    assert answer.status in {400, 404, 405, 422}, (path, answer.body[:200])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_pictures_are_refused_as_openai_clients_read_it(daemon: Daemon, prefix: str) -> None:
    body = {"model": "pilot", "prompt": "a cat", "size": "64x64"}
    answer = ask(daemon, "POST", f"{prefix}/v1/images/generations", body)
    assert answer.status == 422
    error = answer.json["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "unsupported_operation")
    assert error["message"].startswith("images cannot be generated: no engine here draws")
