"""Requests that are read here and not by an engine alone: taken or refused, whatever they hold."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stoker.base.errors import UserError
from stoker.gateway.bounds import check_bounds
from stoker.wire import ollama
from stoker.wire.responses import Create
from stoker.wire.score import rerank_body

_TEXT = st.text(max_size=8)
_WORD = st.sampled_from(("arguments", "format", "function", "name", "role", "schema", "type"))
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT | _WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORD, inner, max_size=4),
    max_leaves=8,
)
_OBJECT = st.dictionaries(_WORD, _ANY, max_size=4)
_CHOICE = st.fixed_dictionaries({"type": st.just("function"), "name": _TEXT})
_MESSAGE = st.builds(
    ollama.Message,
    role=_TEXT,
    content=_TEXT,
    images=st.none() | st.lists(_TEXT | st.binary(max_size=9).map(repr), max_size=2),
    tool_calls=st.none() | st.lists(_OBJECT, max_size=2),
)
_OPTION = st.sampled_from(("num_predict", "repeat_last_n", "num_ctx", "keep_alive", "stop", "seed"))

quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(
    st.fixed_dictionaries(
        {"model": st.just("m")},
        optional={
            "input": _ANY,
            "text": _ANY | st.fixed_dictionaries({"format": _ANY}),
            "tools": _ANY | st.lists(_OBJECT),
            "tool_choice": _ANY | _CHOICE,
            "previous_response_id": _ANY,
            "store": _ANY,
        },
    )
)
def test_responses(body: dict[str, Any]) -> None:
    try:
        create = Create(msgspec.json.encode(body), 0)
        assert msgspec.json.decode(create.upstream(()))["model"] == "m"
    except UserError:
        return


@quick
@given(
    st.builds(
        ollama.Chat,
        model=st.just("m"),
        messages=st.lists(_MESSAGE, max_size=3),
        options=st.none() | st.dictionaries(_OPTION, _ANY, max_size=4),
        keep_alive=st.none() | _TEXT | st.floats(allow_nan=False, allow_infinity=False),
        format=_ANY,
        think=st.none() | st.booleans() | _TEXT,
    )
)
def test_chats_of_ollama(chat: ollama.Chat) -> None:
    try:
        body = ollama.chat_body(chat, stream=True)
        check_bounds(body)
        ollama.keep_alive_of(chat)
        ollama.context_of(chat)
        assert body["model"] == "m"
    except UserError:
        return


@pytest.mark.parametrize(
    "body", [b'{"text_1": "\xff", "text_2": "a"}', b'{"text_1": 1}', b"[", b'{"text_1": "a"}']
)
def test_scores(body: bytes) -> None:
    with pytest.raises(UserError, match="invalid request"):
        rerank_body(body)
