"""The daemon in the background: the real one, started and stopped by the real commands."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from stoker.base.paths import paths_of
from stoker.client.running import running

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="st", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()
        found = running(paths_of({"STOKER_HOME": name}))
        if found is not None:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(found.pid)
                os.kill(found.pid, signal.SIGKILL)
                process.wait(10)


@pytest.fixture
def stoker_process(home: Path) -> Run:
    """The program as a process of its own, allowed to start a daemon."""
    env = {**os.environ, "STOKER_HOME": str(home), "MODEL_RUNNER_PORT": str(free_port())}
    del env["MODEL_RUNNER_NO_AUTO_INSTALL"]

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stoker.cli.main", *argv]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_start_restart_stop(stoker_process: Run, home: Path) -> None:
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    started = stoker_process("start-runner", "--port", port)
    assert (started.returncode, started.stdout) == (0, f"Running at {url}\n"), started.stderr
    assert stoker_process("start-runner").stdout == f"Already running at {url}\n"
    status = json.loads(stoker_process("status", "--json").stdout)
    assert (status["running"], status["endpoint"]) == (True, f"{url}/v1/")
    first = running(paths_of({"STOKER_HOME": str(home)}))
    assert first is not None
    again = stoker_process("restart-runner", "--port", port)
    assert again.stdout == f"Stopped\nRunning at {url}\n", again.stderr
    assert not psutil.pid_exists(first.pid)
    assert stoker_process("stop-runner").stdout == "Stopped\n"
    assert stoker_process("stop-runner").stdout == "Not running\n"
    assert stoker_process("status").returncode == 1


def test_a_command_starts_what_it_needs(stoker_process: Run, home: Path) -> None:
    listed = stoker_process("list")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith("MODEL NAME")
    assert listed.stderr == ""
    assert running(paths_of({"STOKER_HOME": str(home)})) is not None
    assert stoker_process("stop-runner").stdout == "Stopped\n"


def test_a_taken_port_is_said_in_one_line(stoker_process: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        outcome = stoker_process("start-runner", "--port", str(port))
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: the daemon did not start: ")
    assert f"port {port} " in outcome.stderr
    assert "\nhint: " in outcome.stderr
    assert "Traceback" not in outcome.stderr
