"""Ollama's words and OpenAI's: requests one way, answers the other, at any chunking."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base.errors import UserError
from stoker.gateway.bounds import MAX_LOOK_BACK
from stoker.wire import ollama
from stoker.wire.ollama_answer import Kind, OllamaAnswer


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"delta": said, "finish_reason": reason}], "created": 1_700_000_000}


def call(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": arguments}}


CHUNKS = [
    delta(role="assistant", content=None),
    delta(reasoning_content="hm"),
    delta(content="Grüße "),
    delta(content='with "quotes"\n'),
    delta(tool_calls=[call(0, "f", "")]),
    delta(tool_calls=[call(0, None, '{"a":')]),
    delta(tool_calls=[call(0, None, "1}")]),
    delta(tool_calls=[call(1, "g", "{}")]),
    delta("tool_calls"),
    {
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5},
        "timings": {"prompt_ms": 2.0, "predicted_ms": 4.0},
    },
]
STREAM = (
    b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in CHUNKS) + b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_any_chunking_gives_the_same_lines(cuts: list[int]) -> None:
    answer = OllamaAnswer(Kind.CHAT, "m", load=7)
    edges = [0, *cuts, len(STREAM)]
    out = b"".join(answer.feed(STREAM[a:b]) for a, b in pairwise(edges)) + answer.flush()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    messages = [line["message"] for line in lines]
    assert "".join(m["content"] for m in messages) == 'Grüße with "quotes"\n'
    assert "".join(m.get("thinking", "") for m in messages) == "hm"
    calls = [c["function"] for m in messages for c in m.get("tool_calls", [])]
    assert [(c["name"], c["arguments"]) for c in calls] == [("f", {"a": 1}), ("g", {})]
    last = lines[-1]
    assert last["done_reason"] == "stop"
    assert (last["prompt_eval_count"], last["eval_count"]) == (3, 5)
    assert last["total_duration"] == 7 + 2_000_000 + 4_000_000


def test_a_stream_that_breaks_off_is_not_done() -> None:
    answer = OllamaAnswer(Kind.GENERATE, "m")
    half = b"data: " + json.dumps(delta(content="half")).encode() + b"\n\n"
    lines = (answer.feed(half) + answer.flush()).splitlines()
    assert [json.loads(line)["done"] for line in lines] == [False]


def test_options_and_formats_get_openais_names() -> None:
    schema = {"type": "object"}
    options = {"num_predict": 5, "temperature": 0, "top_k": 3, "stop": ["x"], "numa": True}
    chat = ollama.Chat(model="m", messages=[], options=options, format=schema)
    body = ollama.chat_body(chat, stream=True)
    assert (body["max_tokens"], body["temperature"], body["top_k"]) == (5, 0, 3)
    assert "numa" not in body
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["stream_options"] == {"include_usage": True}
    whole = ollama.Chat(model="m", options={"repeat_last_n": -1})
    body = ollama.chat_body(whole, stream=False)
    assert body["repeat_last_n"] == ollama.WHOLE_CONTEXT == MAX_LOOK_BACK
    for none in (0, -1, -2):
        unlimited = ollama.Chat(model="m", options={"num_predict": none}, format="json")
        body = ollama.chat_body(unlimited, stream=False)
        assert "max_tokens" not in body
        assert body["response_format"] == {"type": "json_object"}


def test_calls_without_ids_are_matched_to_their_results_in_order() -> None:
    calls = [{"function": {"name": name, "arguments": {"x": 1}}} for name in "ab"]
    messages = [
        ollama.Message("assistant", tool_calls=calls),
        ollama.Message("tool", "first", tool_name="a"),
        ollama.Message("tool", "second", tool_name="b"),
    ]
    sent = ollama.chat_body(ollama.Chat(model="m", messages=messages), stream=False)["messages"]
    ids = [call["id"] for call in sent[0]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [message["tool_call_id"] for message in sent[1:]] == ids
    assert sent[0]["tool_calls"][0]["function"]["arguments"] == '{"x":1}'


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("", None), (0, 0), ("0", 0), (90, 90), ("5m", 300), (-1, float("inf"))],
)
def test_keep_alive(value: str | float | None, seconds: float | None) -> None:
    assert ollama.keep_alive_of(ollama.Request(model="m", keep_alive=value)) == seconds


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(UserError, match="model is required"):
        ollama.chat_body(ollama.Chat(), stream=False)
    with pytest.raises(UserError, match="format"):
        ollama.chat_body(ollama.Chat(model="m", format="xml"), stream=False)
    picture = ollama.Message("user", images=["not base64!"])
    with pytest.raises(UserError, match="base64"):
        ollama.chat_body(ollama.Chat(model="m", messages=[picture]), stream=False)
    nameless = ollama.Message("assistant", tool_calls=[{}])
    with pytest.raises(UserError, match="tool call"):
        ollama.chat_body(ollama.Chat(model="m", messages=[nameless]), stream=False)
