"""`/api/*` in Ollama's words; its own client is in tests/clients."""

import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask

HELLO = [{"role": "user", "content": "hello"}]


def test_a_chat_streams_lines_and_ends_with_counters(daemon: Daemon) -> None:
    answer = ask(daemon, "POST", "/api/chat", {"model": "pilot", "messages": HELLO})
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    *parts, last = answer.lines
    assert "".join(part["message"]["content"] for part in parts)
    assert {part["model"] for part in parts} == {"pilot"}
    assert last["done"]
    assert last["done_reason"] == "stop"
    assert last["eval_count"] > 0
    assert last["total_duration"] >= last["eval_duration"] > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"name": None, "messages": [*HELLO, {"role": "assistant", "content": None}]}),
        ("/api/generate", {"prompt": "hi", "raw": None, "system": None, "options": None}),
        ("/api/generate", {"name": None, "prompt": None, "keep_alive": None}),
        ("/api/embed", {"model": "test/embed", "input": None, "prompt": "hi"}),
    ],
)
def test_null_is_a_field_without_a_value(
    daemon: Daemon, path: str, body: dict[str, object]
) -> None:
    """What is written in Go reads it so, and clients send it."""
    asked = {"model": "pilot", "stream": False, **body}
    answer = ask(daemon, "POST", path, asked)
    assert answer.status == 200, answer.body


def test_generate_whole_with_a_schema(daemon: Daemon) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    body = {"model": "pilot", "prompt": "a number", "format": schema, "stream": False}
    answer = ask(daemon, "POST", "/api/generate", {**body, "options": {"num_predict": 60}})
    assert answer.json["response"].lstrip().startswith("{")


def test_penalties_look_back_as_far_as_they_are_told(daemon: Daemon) -> None:
    """-1 is all of the context, as with Ollama; the engine itself refuses it."""

    def answered(look_back: int) -> str:
        options = {"temperature": 0, "num_predict": 150, "repeat_penalty": 3.0}
        options["repeat_last_n"] = look_back
        body = {"model": "test/endless", "prompt": "hi", "raw": True, "stream": False}
        answer = ask(daemon, "POST", "/api/generate", {**body, "options": options})
        assert answer.status == 200, answer.body
        text: str = answer.json["response"]
        return text

    assert answered(-1) == answered(4096)
    assert answered(-1) != answered(2)


def test_keep_alive_loads_pins_and_unloads(daemon: Daemon) -> None:
    def running() -> dict[str, str]:
        listed = ask(daemon, "GET", "/api/ps").json["models"]
        return {model["name"]: model["expires_at"] for model in listed}

    loaded = ask(daemon, "POST", "/api/generate", {"model": "test/endless", "keep_alive": -1})
    assert (loaded.json["done_reason"], loaded.json["response"]) == ("load", "")
    assert running()["test/endless:latest"].startswith("0001")
    gone = ask(daemon, "POST", "/api/generate", {"model": "test/endless", "keep_alive": 0})
    assert gone.json["done_reason"] == "unload"


def test_models_are_listed_shown_copied_and_deleted(daemon: Daemon) -> None:
    assert ask(daemon, "POST", "/api/pull", {"model": "pilot"}).lines[-1] == {"status": "success"}
    copied = {"source": "pilot", "destination": "me/copy"}
    assert ask(daemon, "POST", "/api/copy", copied).status == 200
    names = {model["name"] for model in ask(daemon, "GET", "/api/tags").json["models"]}
    assert {"pilot:latest", "me/copy:latest"} <= names
    shown = ask(daemon, "POST", "/api/show", {"model": "me/copy"}).json
    assert shown["details"]["family"] == "llama"
    assert "completion" in shown["capabilities"]
    assert ask(daemon, "DELETE", "/api/delete", {"model": "me/copy"}).status == 200
    assert ask(daemon, "GET", "/api/version").json["version"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/chat", {"model": "no-such", "messages": HELLO}, 404),
        ("POST", "/api/chat", {"messages": HELLO}, 400),
        ("POST", "/api/chat", b"{", 400),
        ("POST", "/api/chat", {"model": "pilot", "messages": 7}, 400),
        ("POST", "/api/generate", {"model": "pilot", "prompt": "x", "keep_alive": "soon"}, 400),
        ("POST", "/api/generate", {"model": "pilot", "prompt": "x", "suffix": "y"}, 400),
        ("POST", "/api/embed", {"model": "pilot", "input": "x"}, 400),
        ("POST", "/api/show", {"model": "no-such"}, 404),
        ("DELETE", "/api/delete", {"model": "no-such"}, 404),
        ("POST", "/api/copy", {"source": "no-such", "destination": "x"}, 404),
        ("POST", "/api/pull", {}, 400),
    ],
)
def test_errors_are_ollamas(
    daemon: Daemon, method: str, path: str, body: object, status: int
) -> None:
    answer = ask(daemon, method, path, body)
    assert answer.status == status
    assert answer.json["error"]
