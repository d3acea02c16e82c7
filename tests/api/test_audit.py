"""Every change leaves a line: who, what, when, with which result. No secret leaves any."""

import getpass
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask

SECRETS = {
    "HF_TOKEN": "hf_MarkerMarkerMarker1",
    "STOKER_API_KEY": "stk_MarkerMarkerMarker2",
    "OPENAI_API_KEY": "sk-MarkerMarkerMarker3",
    "DOCKER_PASSWORD": "MarkerMarkerMarker4",
}
BEARER = "MarkerMarkerMarker5"


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    with running_daemon(home, "--log-level", "debug", **SECRETS) as daemon:
        by_socket = {**daemon.env, "STOKER_HOST": f"unix://{home}/run/stoker.sock"}
        yield Daemon(home, daemon.port, daemon.process, by_socket)


def changes(daemon: Daemon) -> list[dict[str, object]]:
    return [json.loads(line) for line in daemon.cli("logs", "--audit").stdout.splitlines()]


def test_changes_leave_lines_and_questions_leave_none(secretive: Daemon) -> None:
    assert secretive.cli("pull", "pilot").returncode == 0
    key = secretive.cli("key", "add", "boss").stdout.strip()
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "abc"}
    ask(secretive, "POST", "/models/pilot/tag?repo=ai/other&tag=v1", headers=headers)
    configure = {"model": "pilot", "context-size": 512}
    assert ask(secretive, "POST", "/engines/_configure", configure, headers).status == 202
    assert ask(secretive, "DELETE", "/models/no-such", headers=headers).status == 404
    pull = {"from": "127.0.0.1:9/a/b", "bearer-token": BEARER}
    ask(secretive, "POST", "/models/create", pull, headers)
    hello = {"model": "pilot", "prompt": "hi", "max_tokens": 1}
    assert ask(secretive, "POST", "/v1/completions", hello, headers).status == 200
    assert ask(secretive, "GET", "/models", headers=headers).status == 200
    assert ask(secretive, "DELETE", "/models/pilot", headers={}).status == 401
    assert secretive.cli("key", "rm", "boss").returncode == 0
    said = changes(secretive)
    me = f"user {getpass.getuser()}"
    assert [(line["who"], line["action"]) for line in said] == [
        (me, "POST /models/create"), (me, "key add boss"),
        ("key boss", "POST /models/pilot/tag"), ("key boss", "POST /engines/_configure"),
        ("key boss", "DELETE /models/no-such"), ("key boss", "POST /models/create"),
        (me, "key rm boss"),
    ]  # fmt: skip
    assert [line["result"] for line in said[:5]] == [200, "ok", 201, 202, 404]
    assert said[5]["result"] != 200
    assert said[2]["what"] == {"repo": "ai/other", "tag": "v1"}
    assert said[3]["what"] == configure
    assert said[5]["what"] == {"from": "127.0.0.1:9/a/b", "bearer-token": "***"}
    assert {line.get("request_id") for line in said[2:6]} == {"abc"}
    assert said[2]["from"] == "127.0.0.1"


def test_row_10_no_secret_reaches_a_log_an_engine_or_a_file(secretive: Daemon) -> None:
    key = secretive.cli("key", "add", "other").stdout.strip()
    headers = {"Authorization": f"Bearer {key}"}
    hello = {"model": "pilot", "prompt": "hi", "max_tokens": 1}
    assert ask(secretive, "POST", "/v1/completions", hello, headers).status == 200
    ask(secretive, "GET", f"/models/{BEARER}?token={BEARER}", headers=headers)
    ask(
        secretive,
        "POST",
        "/models/create",
        {"from": "x.invalid/a", "bearer-token": BEARER},
        headers,
    )
    engines = secretive.engine_pids()
    assert engines
    marks = [*SECRETS.values(), key, key[4:]]
    seen = []
    for pid in engines:
        seen += [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    written = [p for p in secretive.home.rglob("*") if p.is_file() and "blobs" not in p.parts]
    seen += [path.read_bytes() for path in written]
    text = b"\n".join(seen).decode(errors="replace")
    assert [mark for mark in marks if mark in text] == []
    # Not in the query of a URL either; a path is no place for secrets, and is logged.
    assert f"token={BEARER}" not in text
    assert secretive.cli("key", "rm", "other").returncode == 0
