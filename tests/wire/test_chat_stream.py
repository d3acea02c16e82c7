"""Streamed answers put together again."""

import json
from typing import Any

import pytest

from stoker.wire.chat_stream import whole_chat


def events(*deltas: dict[str, Any], end: bytes = b"data: [DONE]\n\n") -> bytes:
    chunks = [{"id": "c", "created": 5, "model": "m", "choices": [delta]} for delta in deltas]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + end


def whole(stream: bytes) -> Any:
    found = whole_chat(stream)
    assert found is not None
    return json.loads(found)


def test_text_and_reasoning() -> None:
    stream = b": loading\n\n" + events(
        {"index": 0, "delta": {"role": "assistant", "content": None}},
        {"index": 0, "delta": {"reasoning_content": "hm"}},
        {"index": 0, "delta": {"content": "Hel"}},
        {"index": 0, "delta": {"content": "lo"}},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ).replace(b"data: [DONE]", b'data: {"choices": [], "usage": {"total_tokens": 3}}')
    assert whole(stream) == {
        "id": "c",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "reasoning_content": "hm"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"total_tokens": 3},
    }


def test_tool_calls() -> None:
    pieces = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x":'}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"index": 10**9, "function": {"name": "never"}},
    ]
    stream = events(*({"index": 0, "delta": {"tool_calls": [piece]}} for piece in pieces))
    calls = whole(stream)["choices"][0]["message"]["tool_calls"]
    assert [call["function"] for call in calls] == [
        {"name": "f", "arguments": '{"x":1}'},
        {"name": "g", "arguments": "{}"},
    ]


def test_several_choices_come_in_order() -> None:
    stream = events(
        {"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}
    )
    assert [c["message"]["content"] for c in whole(stream)["choices"]] == ["a", "b"]


def test_a_stream_that_was_cut() -> None:
    stream = events({"index": 0, "delta": {"content": "a"}}, end=b'data: {"choices": [{"ind')
    assert whole(stream)["choices"][0]["finish_reason"] is None


@pytest.mark.parametrize(
    "stream", [b"", b"data: [DONE]\n\n", b"data: nonsense\n\n", b'data: {"type": "response"}\n\n']
)
def test_what_is_no_chat(stream: bytes) -> None:
    assert whole_chat(stream) is None
