"""One id for a request: in the answer, in errors, in the log, and at the engine."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask

HELLO = {"model": "pilot", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
ANSWERS = ("/v1/chat/completions", "/v1/messages", "/api/chat")


@pytest.mark.parametrize("path", ANSWERS)
def test_the_clients_id_comes_back(daemon: Daemon, path: str) -> None:
    given = {"X-Request-Id": "0193-abc.7/x:9"}
    for stream in (False, True):
        answer = ask(daemon, "POST", path, {**HELLO, "stream": stream}, given)
        assert answer.status == 200
        assert answer.headers["X-Request-Id"] == "0193-abc.7/x:9"


@pytest.mark.parametrize("given", [{}, {"X-Request-Id": "a b"}, {"X-Request-Id": "x" * 129}])
def test_one_is_made_where_there_is_none_that_can_be_used(
    daemon: Daemon, given: dict[str, str]
) -> None:
    ids = {ask(daemon, "GET", "/no/such", headers=given).headers["X-Request-Id"] for _ in "ab"}
    assert len(ids) == 2
    assert all(len(name) == 12 for name in ids)


def test_errors_name_it(daemon: Daemon) -> None:
    unknown = {**HELLO, "model": "no-such"}
    for path in ANSWERS:
        answer = ask(daemon, "POST", path, unknown, {"X-Request-Id": "abc-1"})
        assert b'"request_id":"abc-1"' in answer.body
        assert answer.headers["X-Request-Id"] == "abc-1"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home: Path = tmp_path_factory.mktemp("json")
    with running_daemon(home, STOKER_LOG_FORMAT="json") as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


def _log(daemon: Daemon) -> list[dict[str, str]]:
    return [json.loads(line) for line in ask(daemon, "GET", "/logs").body.splitlines()]


def test_json_logs_tell_what_happened_to_a_request(logged: Daemon) -> None:
    assert ask(logged, "POST", ANSWERS[0], HELLO, {"X-Request-Id": "load-me"}).status == 200
    said, pause = _log(logged), threading.Event()
    while not any("engine" in line for line in said):  # they are written together, a moment later
        pause.wait(0.05)
        said = _log(logged)
    mine = [line for line in said if line.get("request_id") == "load-me"]
    assert any(line["message"].startswith("request method=POST") for line in mine)
    engine = [line for line in said if line.get("engine") == "llama.cpp"]
    assert {line["model"] for line in engine} == {"pilot"}
    times = [line["time"] for line in said]
    assert times == sorted(times)
    assert all(json.loads(line) for line in (logged.home / "daemon.out").read_text().splitlines())


@pytest.mark.parametrize(("level", "lines"), [("info", 1), ("warning", 0)])
def test_a_request_is_one_line_where_the_service_says_what_it_does(
    tmp_path: Path, level: str, lines: int
) -> None:
    with running_daemon(tmp_path, "--log-level", level) as daemon:
        assert ask(daemon, "GET", "/no/such%1b[2J", headers={"X-Request-Id": "one"}).status == 404
    files = {"terminal": tmp_path / "daemon.out", "file": tmp_path / "logs" / "stoker.log"}
    said = {where: path.read_text() if path.exists() else "" for where, path in files.items()}
    mine = {
        where: [line for line in text.splitlines() if "id=one" in line]
        for where, text in said.items()
    }
    assert {where: len(found) for where, found in mine.items()} == dict.fromkeys(said, lines)
    for line in mine["terminal"]:
        assert line.startswith("INFO request method=GET path='/no/such")
        assert "status=404" in line
    assert "\x1b" not in "".join(said.values())
