"""Whatever a body holds: refused with a reason or passed on, never an error of the server's."""

import socket

import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask

HELLO = b'"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1'
GOOD = b'{"model": "pilot", ' + HELLO + b"}"
DEEP = b"[" * 100_000 + b"]" * 100_000
PATHS = (
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses",
    "/v1/rerank", "/v1/score", "/v1/tokenize", "/api/chat", "/api/generate", "/api/embed",
    "/api/show", "/api/copy", "/models/create", "/engines/unload", "/engines/_configure",
)  # fmt: skip

BAD = {
    "empty": b"",
    "not json": b"model=pilot",
    "cut off": GOOD[:-1],
    "two values": GOOD + GOOD,
    "a list": b"[1]",
    "a number": b"7",
    "deep": DEEP,
    "deep inside": b'{"model": "pilot", "x": ' + DEEP + b"}",
    "NaN": b'{"model": "pilot", "temperature": NaN, ' + HELLO + b"}",
    "no UTF-8": b'{"model": "\xff\xfe", ' + HELLO + b"}",
    "model is a number": b'{"model": 7, ' + HELLO + b"}",
    "model is null": b'{"model": null, ' + HELLO + b"}",
    "model is empty": b'{"model": "", ' + HELLO + b"}",
    "model of 64 KiB": b'{"model": "' + b"a" * 65536 + b'", ' + HELLO + b"}",
    "model with tricks": b'{"model": "a/../../b", ' + HELLO + b"}",
    "model with NUL": b'{"model": "pi\\u0000lot", ' + HELLO + b"}",
    "model with line breaks": b'{"model": "pilot\\r\\nX: y", ' + HELLO + b"}",
    "lone surrogate": b'{"model": "\\ud800", ' + HELLO + b"}",
}

ODD = {
    "unknown fields": b'{"model": "pilot", "no_such_field": {"a": [1]}, ' + HELLO + b"}",
    "duplicate keys": b'{"model": "no-such", "model": "pilot", ' + HELLO + b"}",
    "text/plain": GOOD,
    "huge integer": b'{"model": "pilot", "seed": ' + b"9" * 400 + b", " + HELLO + b"}",
    "huge float": b'{"model": "pilot", "temperature": 1e400, ' + HELLO + b"}",
    "negative tokens": b'{"model": "pilot", "messages": [], "max_tokens": -5}',
    "n of 10000": b'{"model": "pilot", "n": 10000, ' + HELLO + b"}",
    "wrong types": b'{"model": "pilot", "messages": 7, "tools": "x", "stream": 1}',
    "surrogate in the text": b'{"model": "pilot", "max_tokens": 1, "messages": '
    b'[{"role": "user", "content": "\\ud800"}]}',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("what", BAD)
def test_row_17_bad_bodies_are_refused_everywhere(daemon: Daemon, path: str, what: str) -> None:
    answer = ask(daemon, "POST", path, BAD[what])
    if path == "/engines/unload" or (path, what) == ("/engines/_configure", "duplicate keys"):
        assert answer.status < 500
    else:
        assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert len(answer.body) < 4096  # what was sent is not sent back


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("what", ODD)
def test_row_17_odd_bodies_never_break_the_server(daemon: Daemon, path: str, what: str) -> None:
    answer = ask(daemon, "POST", path, ODD[what], {"Content-Type": "text/plain"})
    assert answer.status < 500, (answer.status, answer.body[:300])
    assert ask(daemon, "POST", "/v1/chat/completions", GOOD).status == 200


@pytest.mark.parametrize(
    "more",
    [
        b'"text": "json"',
        b'"text": {"format": "json"}',
        b'"text": {"format": ["json"]}',
        b'"tools": "x", "tool_choice": {"type": "function", "name": "x"}',
        b'"tools": [1], "tool_choice": {"type": "function", "name": "x"}',
        b'"tools": 7, "tool_choice": {"type": "function", "name": "x"}',
        b'"previous_response_id": 7',
    ],
)
def test_row_17_what_a_response_is_made_with_has_its_types(daemon: Daemon, more: bytes) -> None:
    body = b'{"model": "pilot", "input": "hi", "max_output_tokens": 1, ' + more + b"}"
    answer = ask(daemon, "POST", "/v1/responses", body)
    assert answer.status == 400, answer.body
    assert more.partition(b'"')[2].partition(b'"')[0] in answer.body, "it says which"


def _with_a_call(arguments: str) -> dict[str, object]:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    hi = {"role": "user", "content": "hi"}
    said = {"role": "assistant", "tool_calls": [call]}
    return {"model": "pilot", "max_tokens": 1, "messages": [hi, said, hi]}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/apply-template", "/api/chat"])
@pytest.mark.parametrize("deep", [DEEP.decode(), '{"a":' * 60_000 + "1" + "}" * 60_000])
def test_row_17_depth_hidden_in_a_text_kills_no_engine(
    daemon: Daemon, path: str, deep: str
) -> None:
    """llama.cpp reads a call's arguments once more, by recursion."""
    answer = ask(daemon, "POST", path, _with_a_call(deep))
    assert answer.status == 400, answer.body[:300]
    assert b"arguments" in answer.body
    long = '{"text": "' + "[" * 40_000 + '"}'
    assert b"nested" not in ask(daemon, "POST", path, _with_a_call(long)).body


def test_row_17_depth_hidden_in_an_item_or_a_grammar_kills_no_engine(daemon: Daemon) -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": DEEP.decode()}
    end = {"type": "function_call_output", "call_id": "1", "output": "x"}
    item = {"role": "user", "content": "hi"}
    answer = ask(
        daemon, "POST", "/v1/responses", {"model": "pilot", "input": [item, call, end, item]}
    )
    assert answer.status == 400
    assert b"arguments" in answer.body
    grammar = "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000
    answer = ask(
        daemon, "POST", "/v1/completions", {"model": "pilot", "prompt": "x", "grammar": grammar}
    )
    assert answer.status == 400
    assert b"grammar" in answer.body


def test_row_17_a_body_that_is_announced_too_large_is_refused_at_once(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as line:
        line.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 1000000000000\r\n\r\n"
        )
        assert line.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_row_16_many_openings_of_a_body_do_no_harm(daemon: Daemon) -> None:
    """Half a request, then gone; a hundred times."""
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as line:
            line.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                b'Content-Length: 1000\r\n\r\n{"model"'
            )
    assert ask(daemon, "POST", "/v1/chat/completions", GOOD).status == 200
    assert ask(daemon, "GET", "/health?deep=1").json["status"] == "ok"
