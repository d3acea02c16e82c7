"""The event stream of a response: complete, whatever the engine left out, wherever it cut."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base.errors import UserError
from stoker.wire.responses import Create
from stoker.wire.responses_stream import ResponseStream
from stoker.wire.sse import SseDecoder

BODY = b'{"model": "m", "input": "hi", "stream": true, "metadata": {"k": "v"}, "temperature": 0.5}'
CALL = {"id": "fc_1", "type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}
ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
SAID: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_item.added", "item": ITEM},
    {"type": "response.content_part.added", "item_id": "msg_1", "part": {"type": "output_text"}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "grüß dich"},
    {"type": "response.output_text.done", "item_id": "msg_1", "text": "grüß dich"},
    {"type": "response.output_item.done", "item": ITEM},
    {"type": "response.output_item.added", "item": {**CALL, "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": "{}"},
    {"type": "response.output_item.done", "item": CALL},
    {
        "type": "response.completed",
        "response": {
            "id": "resp_1", "status": "completed", "output": [ITEM, CALL],
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        },
    },
]  # fmt: skip
STREAM = (
    b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in SAID)
    + b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_events_are_complete_at_any_chunking(cuts: list[int]) -> None:
    finished: list[dict[str, Any]] = []
    stream = ResponseStream(Create(BODY, 7), finished.append)
    edges = [0, *cuts, len(STREAM)]
    out = b"".join(stream.feed(STREAM[a:b]) for a, b in pairwise(edges)) + stream.flush()
    decoded = SseDecoder().feed(out)
    events = [json.loads(event.data) for event in decoded]
    assert [event.name for event in decoded] == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert (
        kinds.index("response.function_call_arguments.done")
        == kinds.index("response.function_call_arguments.delta") + 1
    )
    assert [e["output_index"] for e in events if e["type"] == "response.output_item.done"] == [0, 1]
    assert all(e["content_index"] == 0 for e in events if "output_text" in e["type"])
    (response,) = finished
    assert events[-1]["response"] == response
    assert {e["response"]["created_at"] for e in events if "response" in e} == {7}
    assert response["metadata"] == {"k": "v"}
    assert response["temperature"] == 0.5
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}


def test_a_conversation_is_put_together_from_items() -> None:
    create = Create(
        b'{"model": "m", "input": [{"role": "user", "content": "b"}], "store": false}', 7
    )
    history = ({"type": "message", "role": "user", "content": "a"},)
    sent = json.loads(create.upstream(history))
    assert [item["content"] for item in sent["input"]] == ["a", "b"]
    assert "store" not in sent
    assert not create.store


def test_an_answer_that_was_cut_off_says_so() -> None:
    create = Create(b'{"model": "m", "input": "x", "max_output_tokens": 2}', 7)
    response = create.complete({"status": "completed", "usage": {"output_tokens": 2}})
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_failure_ends_the_stream() -> None:
    stream = ResponseStream(Create(BODY, 7), lambda _: None)
    events = SseDecoder().feed(stream.feed(b'data: {"error": {"message": "no"}}\n\n'))
    assert [event.name for event in events] == ["error", "response.failed"]
    assert json.loads(events[1].data)["response"]["error"]["message"] == "no"


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"input": 7}', b'{"input": [7]}', b'{"background": true}']
)
def test_what_cannot_be_done_is_refused(body: bytes) -> None:
    with pytest.raises(UserError):
        Create(body, 7)
