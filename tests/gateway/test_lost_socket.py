"""An engine that runs, but whose socket somebody took away: loaded anew, and nobody notices."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask

CHAT = {"model": "pilot", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


def running(daemon: Daemon) -> psutil.Process:
    (row,) = json.loads(daemon.cli("ps", "--json").stdout)
    return psutil.Process(row["pid"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", ["deleted", "replaced"])
def test_the_socket_is_gone(daemon: Daemon, way: str, *, stream: bool) -> None:
    daemon.cli("unload", "--all")
    # Loaded without a request to the engine: no connection is left open that would still serve.
    assert (
        ask(daemon, "POST", "/v1/chat/completions", CHAT, {"X-Preload-Only": "true"}).status == 200
    )
    engine = running(daemon)
    (path,) = (daemon.home / "run").glob("*/e.sock")
    path.unlink()
    if way == "replaced":
        with socket.socket(socket.AF_UNIX) as mute:  # bound, and nobody listens
            mute.bind(str(path))
    answer = ask(daemon, "POST", "/v1/chat/completions", {**CHAT, "stream": stream})
    assert answer.status == 200, answer.body
    assert b"error" not in answer.body
    assert not engine.is_running()
    assert running(daemon).pid != engine.pid
    assert not Path(path).exists()
