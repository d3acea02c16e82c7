"""Numbers out of all bounds, and prompts longer than the context, in every dialect."""

from typing import Any

import msgspec
import openai
import psutil
import pytest

from stoker.base.errors import UserError
from stoker.gateway import Operation, decode_call
from stoker.gateway.bounds import MAX_ANSWERS, MAX_LOOK_BACK, MAX_TOKENS, Bounded
from tests.components.daemon import Daemon
from tests.components.http import ask

HI: list[dict[str, str]] = [{"role": "user", "content": "hi"}]
DEEP = "arguments must be nested at most 1000 deep"
LONG = "hello world " * 2000


def body(name: str, value: str) -> bytes:
    return f'{{"model": "m", "{name}": {value}}}'.encode()


@pytest.mark.parametrize("name", Bounded.__struct_fields__)
def test_every_bounded_number_has_both_ends(name: str) -> None:
    for value in ("-2", "1e9", "2147483648", "9" * 400, "-1e30"):
        with pytest.raises(UserError, match=f"{name} must be at (most|least)"):
            decode_call(body(name, value), Operation.CHAT)
    for value in ("1", "7.0", "null", '"7"', "true", "[1]", "{}"):
        assert decode_call(body(name, value), Operation.CHAT).model == "m"


def test_the_bounds_themselves_are_allowed() -> None:
    for name, most in (
        ("n", MAX_ANSWERS), ("max_tokens", MAX_TOKENS), ("repeat_last_n", MAX_LOOK_BACK)
    ):  # fmt: skip
        assert decode_call(body(name, str(most)), Operation.CHAT).model == "m"
        with pytest.raises(UserError, match=f"at most {most}"):
            decode_call(body(name, str(most + 1)), Operation.CHAT)
    assert decode_call(body("max_tokens", "-1"), Operation.CHAT).model == "m"


def test_the_last_of_two_keys_counts_as_it_does_for_engines() -> None:
    with pytest.raises(UserError, match="n must be"):
        decode_call(b'{"model": "m", "n": 1, "\\u006e": 1000}', Operation.CHAT)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("[" * 5000, DEEP),
        ("\ufeff" + '{"a":' * 5000, DEEP),  # a mark that llama.cpp skips
        ("[]" * 5000, ""),
        ("[]" * 5_000_000, DEEP),  # more than anybody wants counted
        ('["' + "[" * 5000 + '"]', ""),
        ('["a\\"' + "[" * 5000 + '"]', ""),
        ('"\\' * 2_000_000 + "[" * 5000, ""),  # a text that never ends; no JSON either
        ('"a' * 2_000_000 + "[" * 5000, DEEP),
        ("\\" * 2_000_000 + "[" * 5000, DEEP),
    ],
)
def test_depth_is_looked_for_in_what_an_engine_takes_apart(arguments: str, said: str) -> None:
    called = {"model": "m", "messages": [{"tool_calls": [{"function": {"arguments": arguments}}]}]}
    for escaped in (msgspec.json.encode(called), _all_escaped(called, arguments)):
        if said:
            with pytest.raises(UserError, match=said):
                decode_call(escaped, Operation.CHAT)
        else:
            assert decode_call(escaped, Operation.CHAT).model == "m"


def test_a_body_is_not_looked_into_whatever_it_holds() -> None:
    """Its values would take many times its size."""
    body = b'{"model": "m", "arguments": [' + b"[]," * 4_100_000 + b"1]}"
    with pytest.raises(UserError, match="at most 4000000 parts"):
        decode_call(body, Operation.CHAT)
    many = b'{"model": "m", "messages": [' + b'{"arguments": "{}"},' * 50_000 + b"1]}"
    assert decode_call(many, Operation.CHAT).model == "m"


def _all_escaped(called: object, arguments: str) -> bytes:
    """The same with the name and the brackets as JSON may also write them."""
    body = msgspec.json.encode(called)
    start = body.rindex(b'"arguments":') + len(b'"arguments":')
    own = msgspec.json.encode(arguments)
    return (
        body[:start].replace(b"arguments", b"arg\\u0075ments")
        + own.replace(b"[", b"\\u005b").replace(b"{", b"\\u007b")
        + body[start + len(own) :]
    )


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"messages": HI, "n": 10_000}),
        ("/v1/chat/completions", {"messages": HI, "max_tokens": 2**31}),
        ("/v1/chat/completions", {"messages": HI, "n_discard": -5}),
        ("/v1/completions", {"prompt": "hi", "best_of": 1000}),
        ("/v1/messages", {"messages": HI, "max_tokens": 2**31}),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 2**31}),
        ("/api/chat", {"messages": HI, "options": {"num_predict": 2**31}}),
        ("/api/generate", {"prompt": "hi", "options": {"repeat_last_n": 2**31}}),
    ],
)
def test_each_dialect_says_so_in_its_own_envelope(
    daemon: Daemon, path: str, more: dict[str, Any]
) -> None:
    answer = ask(daemon, "POST", path, {"model": "pilot", **more})
    assert answer.status == 400
    error = answer.json["error"]
    text = error if path.startswith("/api") else error["message"]
    assert "must be at" in text


def test_looking_back_a_billion_tokens_takes_no_memory(daemon: Daemon) -> None:
    ask(daemon, "POST", "/v1/chat/completions", {"model": "pilot", "messages": HI, "max_tokens": 1})
    running = ask(daemon, "GET", "/engines/ps").json
    engine = next(
        r["pid"] for r in running if (r["model_name"], r["mode"]) == ("pilot", "completion")
    )
    for most in (MAX_LOOK_BACK, 1_000_000_000):
        asked = {"dry_multiplier": 1, "dry_penalty_last_n": most, "max_tokens": 1}
        ask(daemon, "POST", "/v1/chat/completions", {"model": "pilot", "messages": HI, **asked})
        assert psutil.Process(engine).memory_info().rss < 1 << 30


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}]}),
        ("/v1/completions", {"prompt": LONG}),
        ("/v1/responses", {"input": LONG}),
        ("/v1/messages", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 4}),
        ("/api/chat", {"messages": [{"role": "user", "content": LONG}]}),
        ("/api/generate", {"prompt": LONG}),
    ],
)
def test_a_prompt_past_the_context_is_refused_and_never_cut(
    daemon: Daemon, path: str, more: dict[str, Any], *, stream: bool
) -> None:
    answer = ask(daemon, "POST", path, {"model": "pilot", "stream": stream, **more})
    assert answer.status == 400
    error = answer.json["error"]
    text = error if path.startswith("/api") else error["message"]
    assert "maximum context length is 2048 tokens" in text
    assert "--context-size" in text


def test_openais_client_knows_it_by_its_code(daemon: Daemon) -> None:
    client = openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="pilot", messages=[{"role": "user", "content": LONG}])
    assert caught.value.code == "context_length_exceeded"
