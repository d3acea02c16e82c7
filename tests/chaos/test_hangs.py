"""Engines that stop to answer for good while clients wait: ended, and so are the requests."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.faulty_daemon import faulty_daemon
from tests.components.http import ask
from tests.components.processes import freeze

PATH = "/v1/chat/completions"
BODY = {"model": "pilot", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
PATIENCE = "5"
"""Seconds; an engine on a busy machine answers sooner, even between two steps."""

# A grammar of ten thousand parts each of which may be missing: one token takes llama.cpp hours.
SCHEMA = {"type": "string", "pattern": "^((a?){100}){100}$"}
ENDLESS = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """With a real engine."""
    with running_daemon(tmp_path, STOKER_ENGINE_TIMEOUT=PATIENCE) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


def test_a_request_that_hangs_the_engine_ends_and_so_do_those_behind_it(daemon: Daemon) -> None:
    with ThreadPoolExecutor() as clients:
        endless = clients.submit(ask, daemon, "POST", PATH, {**BODY, "response_format": ENDLESS})
        replies = [endless, *(clients.submit(ask, daemon, "POST", PATH, BODY) for _ in range(3))]
    for reply in (one.result() for one in replies):
        assert reply.status in (200, 502), "those that came before it have their answer"
    assert "gave no sign of life any more" in endless.result().json["error"]["message"]
    assert ask(daemon, "POST", PATH, BODY).status == 200


def test_a_stream_that_stands_still_is_cut(tmp_path: Path) -> None:
    with faulty_daemon(tmp_path, STOKER_ENGINE_TIMEOUT=PATIENCE) as (daemon, faults):
        faults.write_text("--tokens 0 --pause 0.05")
        line = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        line.request("POST", PATH, json.dumps({**BODY, "stream": True}))
        answer = line.getresponse()
        assert answer.readline().startswith(b"data: ")
        freeze(daemon.engine_pids()[0])
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        assert b"gave no sign of life any more" in cut.value.partial
        line.close()
        faults.write_text("")
        assert ask(daemon, "POST", PATH, BODY).status == 200
