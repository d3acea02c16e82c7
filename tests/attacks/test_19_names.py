"""Row 19: names that trick, and a name that moves while its model answers."""

import http.client
import json
from pathlib import Path

import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon
from tests.components.http import ask
from tests.components.tiny_models import chat_model


@pytest.mark.parametrize(
    "name",
    [
        "a/../b", "../pilot", "/pilot", "pilot/", "pilot@", "pilot@sha256:", "pilot::x",
        "pilot@sha256:" + "0" * 64, "pilot@sha256:" + "A" * 64, "sha256:" + "0" * 64, "a" * 65536,
        "pilot%00", "pilot\0", "p\u0456lot", "file:///etc/passwd", "pilot?x", "-pilot", ".", "..",
    ],
    ids=ascii,
)  # fmt: skip
def test_tricks_name_no_model(daemon: Daemon, name: str) -> None:
    body = {"model": name[:70000], "messages": [{"role": "user", "content": "hi"}]}
    answer = ask(daemon, "POST", "/v1/chat/completions", body)
    assert answer.status in (400, 404), answer.body[:300]


def test_a_tag_that_moves_changes_no_running_answer(daemon: Daemon, tmp_path: Path) -> None:
    """The digest is what a request holds on to; the name is looked up once."""
    models = daemon.home / "models"
    put_model(models, chat_model(tmp_path / "a.gguf", title="first"), "test/moving")
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    body = {"model": "test/moving", "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    stream = connection.getresponse()
    assert stream.readline().startswith(b"data: ")
    put_model(models, chat_model(tmp_path / "b.gguf", title="second"), "test/moving")
    after = ask(daemon, "POST", "/v1/chat/completions", {**body, "stream": False, "max_tokens": 1})
    assert after.status == 200
    runners = [one for one in ask(daemon, "GET", "/engines/ps").json if "moving" in str(one)]
    assert len(runners) == 2, "two contents, two engines"
    for _ in range(20):
        assert b"error" not in stream.readline()
    connection.close()
    daemon.cli("unload", "test/moving")
