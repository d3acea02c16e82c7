"""Starting a daemon, with a stand-in program that keeps the daemon's promises about its lock."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stoker.base.errors import StorageError, Unreachable
from stoker.base.paths import paths_of
from stoker.client.autostart import log_file, log_tail, start_daemon
from stoker.client.running import running

# Takes the lock as the daemon does, says who it is, and answers every request with a version.
PROGRAM = r"""
import fcntl, json, os, pathlib, socketserver, sys
home = pathlib.Path(os.environ["STOKER_HOME"])
lock = open(home / "daemon.lock", "a+")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("error: a daemon is already running")
lock.truncate(0)
lock.write(json.dumps({"pid": os.getpid(), "cwd": os.getcwd(), "argv": sys.argv[1:]}))
lock.flush()
(home / "run").mkdir(exist_ok=True)
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.readline():
            self.wfile.write(b'HTTP/1.0 200 OK\r\n\r\n{"version": "1"}')
socketserver.UnixStreamServer(str(home / "run" / "stoker.sock"), Handler).serve_forever()
"""
COMMAND = [sys.executable, "-c", PROGRAM]

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def home(short_path: Path) -> dict[str, str]:
    return {**os.environ, "STOKER_HOME": str(short_path)}


def stop(home: dict[str, str]) -> None:
    pid = pid_of(home)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)


def pid_of(home: dict[str, str]) -> int:
    found = running(paths_of(home))
    assert found is not None
    return found.pid


def test_it_starts_detached_and_answers(home: dict[str, str]) -> None:
    endpoint = start_daemon(["--port", "1"], environ=home, command=COMMAND)
    pid = pid_of(home)
    assert endpoint.answers()
    assert os.getsid(pid) != os.getsid(0)
    process = psutil.Process(pid)
    assert process.cwd() == "/"
    assert process.cmdline()[-2:] == ["--port", "1"]
    stop(home)


def test_two_at_once_end_with_one_daemon(home: dict[str, str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        starts = [pool.submit(start_daemon, environ=home, command=COMMAND) for _ in range(2)]
        assert starts[0].result() == starts[1].result()
    stop(home)


def test_the_loser_of_the_race_connects_to_the_winner(home: dict[str, str]) -> None:
    first = start_daemon(environ=home, command=COMMAND)
    assert start_daemon(environ=home, command=COMMAND) == first
    stop(home)


def test_a_daemon_that_refuses_to_start_is_taken_at_its_word(home: dict[str, str]) -> None:
    words = "import sys; sys.exit('error: port 12434 is in use\\nhint: try --port 12435')"
    with pytest.raises(Unreachable) as caught:
        start_daemon(environ=home, command=[sys.executable, "-c", words])
    assert caught.value.message == "the daemon did not start: port 12434 is in use"
    assert caught.value.hint == "try --port 12435"


def test_a_daemon_that_dies_is_quoted(home: dict[str, str]) -> None:
    paths = paths_of(home)
    paths.logs.mkdir(parents=True)
    log_file(paths).write_text("an old line\n")
    command = [sys.executable, "-c", "import no_such_module"]
    with pytest.raises(Unreachable) as caught:
        start_daemon(environ=home, command=command)
    assert "ended with exit code 1; its last words:" in caught.value.message
    assert "ModuleNotFoundError" in caught.value.message
    assert "an old line" not in caught.value.message


def test_an_overlong_log_is_put_aside(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.client.autostart._MAX_LOG", 10)
    log = log_file(paths_of(home))
    log.parent.mkdir(parents=True)
    log.write_text("x" * 20)
    start_daemon(environ=home, command=COMMAND)
    assert log.with_suffix(".log.1").read_text() == "x" * 20
    assert log_tail(log) == []
    stop(home)


def test_a_place_nobody_can_write_to(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file, not a directory")
    with pytest.raises(StorageError, match="cannot write"):
        start_daemon(environ={"STOKER_HOME": str(tmp_path)}, command=COMMAND)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', '{"pid": -1}', '{"pid": 4194305}'])
def test_a_lock_file_that_names_nobody_alive(tmp_path: Path, text: str) -> None:
    (tmp_path / "daemon.lock").write_text(text)
    assert running(paths_of({"STOKER_HOME": str(tmp_path)})) is None
