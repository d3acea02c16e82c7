"""Row 15: what strangers write cannot forge a line of a log or move a cursor."""

import re
from pathlib import Path

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon
from tests.components.http import ask
from tests.components.tiny_models import chat_model

FORGED = "[2020-01-01T00:00:00.000000000Z] INFO forged"
EVIL = f"x\n{FORGED}\r\n\x1b[2J\x1b]0;title\x07\x9b31m\u202eend"
LINE = re.compile(r"(\[|\{\"time\":\")\d{4}-\d\d-\d\dT[\d:.]+Z|    ")


def clean(text: str) -> None:
    """Nothing in it controls a terminal."""
    for line in text.split("\n"):
        assert line.replace("\t", "").isprintable(), line


def unforged(text: str) -> None:
    """And no line says it was written at another time than it was."""
    clean(text)
    assert f"\n{FORGED}" not in text


def test_names_in_requests(daemon: Daemon) -> None:
    bodies = (
        {"model": EVIL, "messages": []},
        {"model": "pilot", "messages": [{"role": EVIL, "content": EVIL}], EVIL: EVIL},
    )
    for body in bodies:
        ask(daemon, "POST", "/v1/chat/completions", body)
    for path in ("/%0a%1b%5b2Jx", "/models/%0d%0aX%3a%20y", "/engines/%1b/v1/models"):
        answer = ask(
            daemon, "GET", path, headers={"User-Agent": "a\x1b[2Jb", "X-Request-Id": "\x1b"}
        )
        assert "X" not in answer.headers
    for log in (daemon.home / "logs").iterdir():
        text = log.read_text()
        unforged(text)
        assert all(LINE.match(line) for line in text.splitlines())


def test_what_an_engine_prints_and_a_model_says_of_itself(daemon: Daemon, tmp_path: Path) -> None:
    """llama.cpp logs a model's own name as it is: the daemon's log escapes it, so do commands."""
    model = chat_model(tmp_path / "evil.gguf", title=EVIL)
    put_model(daemon.home / "models", model, "test/evil-name")
    body = {"model": "test/evil-name", "messages": [{"role": "user", "content": "x"}]}
    assert ask(daemon, "POST", "/v1/chat/completions", {**body, "max_tokens": 1}).status == 200
    daemon.cli("unload", "test/evil-name")
    unforged(daemon.cli("logs").stdout)
    for command in (
        ("list",), ("ps",), ("inspect", "test/evil-name"), ("show", "test/evil-name"),
        ("plan", "test/evil-name"), ("why",), ("pull", EVIL), ("rm", EVIL), ("run", EVIL, "hi"),
    ):  # fmt: skip
        done = daemon.cli(*command)
        clean(done.stdout)
        clean(done.stderr)
    for path in (daemon.home / "logs").iterdir():
        unforged(path.read_text())
