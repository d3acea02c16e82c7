"""While a model loads: streams show signs of life, everybody else simply waits."""

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from stoker.engines import llamacpp_worker
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask
from tests.components.tiny_models import bad_models

CHAT = {"model": "pilot", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
STREAM = {**CHAT, "stream": True}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose engine is the real one, started from a disk that needs two seconds."""
    home: Path = tmp_path_factory.mktemp("slow")
    program = home / "llama-server"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit\nsleep 2.2\n'
        f'exec {sys.executable} -I {llamacpp_worker.__file__} "$@"\n'
    )
    program.chmod(0o755)
    with running_daemon(home, LLAMA_SERVER_PATH=str(program)) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        for number, kind in enumerate(
            ("wrong version", "missing tensors", "no heads", "truncated tensors")
        ):
            put_model(home / "models", bad_models(home / "bad")[kind], f"bad/model{number}")
        yield daemon


@pytest.fixture
def cold(slow: Daemon) -> Daemon:
    """The same with nothing loaded."""
    slow.cli("unload", "--all")
    return slow


def lines(daemon: Daemon, path: str, body: object) -> list[bytes]:
    """A stream as it comes, without the empty lines between events."""
    request = urllib.request.Request(
        f"{daemon.url}{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        return [line for line in answer.read().splitlines() if line]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/engines/_configure", {"model": "pilot", "context-size": 512}),
        ("DELETE", "/models/pilot/trust-remote-code", None),
        ("POST", "/engines/uninstall-backend", {"backend": "llama.cpp"}),
    ],
)
def test_what_a_request_waits_for_is_not_changed_under_it(
    cold: Daemon, method: str, path: str, body: object
) -> None:
    request = urllib.request.Request(
        f"{cold.url}/v1/chat/completions",
        data=json.dumps(STREAM).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.readline() == b": loading\n"
        assert ask(cold, method, path, body).status == 409
        assert answer.read().rstrip().endswith(b"[DONE]")


@pytest.mark.parametrize(
    ("path", "last"),
    [("/v1/chat/completions", b"data: [DONE]"), ("/v1/messages", b'data: {"type":"message_stop"}')],
)
def test_streams_get_comments_and_then_the_answer(cold: Daemon, path: str, last: bytes) -> None:
    got = lines(cold, path, STREAM)
    signs = [line for line in got if line.startswith(b":")]
    assert signs == got[: len(signs)]
    assert signs
    assert set(signs) == {b": loading"}
    assert got[-1] == last


def test_clients_do_not_mind(cold: Daemon) -> None:
    client = openai.OpenAI(base_url=f"{cold.url}/v1", api_key="none", max_retries=0)
    stream = client.chat.completions.create(
        model="pilot", messages=[{"role": "user", "content": "hello"}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream)


# A model each: what has just failed to load fails at once when it is asked for again.
@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/chat/completions", {**STREAM, "model": "bad/model0"}, None),
        ("/v1/messages", {**STREAM, "model": "bad/model1"}, "error"),
        ("/v1/responses", {"model": "bad/model2", "input": "x", "stream": True}, "response.failed"),
    ],
)
def test_a_load_that_fails_ends_the_stream_with_its_reason(
    cold: Daemon, path: str, body: dict[str, object], kind: str | None
) -> None:
    got = lines(cold, path, body)
    assert got[0] == b": loading"
    last = json.loads(got[-1].removeprefix(b"data: "))
    assert last.get("type") == kind
    assert f"{body['model']} cannot be loaded".encode() in got[-1]


def test_what_is_not_a_stream_waits_for_its_status(cold: Daemon) -> None:
    failed = ask(cold, "POST", "/v1/chat/completions", {**CHAT, "model": "bad/model0"})
    assert failed.status == 500
    assert failed.json["error"]["code"] == "launch_failed"
    whole = ask(cold, "POST", "/v1/chat/completions", CHAT)
    assert whole.json["choices"]


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/apply-template"])
def test_what_no_engine_streams_is_no_stream(cold: Daemon, path: str) -> None:
    """Whatever its body says: an answer in one piece has nothing to say while it waits."""
    answer = ask(cold, "POST", path, STREAM)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert isinstance(answer.json, dict)


def test_a_file_that_its_header_gives_away_is_not_loaded(cold: Daemon) -> None:
    """As a stranger's registry may serve it: our own `package` accepts none."""
    ran = cold.cli("run", "bad/model3", "hi")
    assert ran.returncode == 1
    assert "bad/model3: truncated-tensors.gguf: gguf: the file has" in ran.stderr
    refused = ask(cold, "POST", "/v1/chat/completions", {**CHAT, "model": "bad/model3"})
    assert (refused.status, refused.json["error"]["code"]) == (422, "parse_error")


def test_a_client_that_leaves_leaves_the_load_to_others(cold: Daemon) -> None:
    data = json.dumps(STREAM).encode()
    with socket.create_connection(("127.0.0.1", cold.port), timeout=30) as line:
        line.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(data), data)
        )
        got = b""
        while b": loading" not in got:
            got += line.recv(4096)
    assert ask(cold, "POST", "/v1/chat/completions", CHAT).status == 200
    (runner,) = ask(cold, "GET", "/engines/ps").json
    assert not runner.get("in_use")
    assert not runner.get("loading")


def test_preloading_answers_nothing(cold: Daemon) -> None:
    asked = {"X-Preload-Only": "true"}
    answer = ask(cold, "POST", "/v1/chat/completions", STREAM, asked)
    assert (answer.status, answer.body) == (200, b"")
    assert ask(cold, "GET", "/engines/ps").json[0]["model_name"] == "pilot"


def test_ollamas_lines_have_no_comments(cold: Daemon) -> None:
    body = {"model": "pilot", "messages": CHAT["messages"], "options": {"num_predict": 4}}
    answer = ask(cold, "POST", "/api/chat", body)
    assert answer.lines[-1]["done"]
    assert answer.lines[-1]["load_duration"] > 2e9
