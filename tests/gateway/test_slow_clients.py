"""Clients that never finish: they are given up, and their engines are free again."""

import http.client
import json
import threading

from tests.api.conftest import daemon
from tests.components.daemon import Daemon
from tests.components.http import ask

__all__ = ["daemon"]


def _busy(daemon: Daemon) -> bool:
    return any(runner.get("in_use") for runner in ask(daemon, "GET", "/engines/ps").json)


def _until_free(daemon: Daemon) -> bool:
    pause = threading.Event()
    return any(not _busy(daemon) or pause.wait(0.05) for _ in range(200))


def test_a_reader_that_leaves_or_stops_reading_holds_nobody_else(daemon: Daemon) -> None:
    body = {
        "model": "test/endless",
        "messages": [{"role": "user", "content": "go"}],
        "stream": True,
        "max_tokens": 3000,
    }
    for path, more in (
        ("/v1/chat/completions", {}),
        ("/v1/messages", {}),
        ("/api/chat", {}),
        ("/v1/responses", {"input": "go", "max_output_tokens": 3000}),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        data = json.dumps({**body, **more}).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        assert connection.getresponse().read(10)
        assert _busy(daemon)
        other = {"model": "pilot", "prompt": "hi", "max_tokens": 1}
        assert ask(daemon, "POST", "/v1/completions", other).status == 200
        connection.close()
        assert _until_free(daemon), path
