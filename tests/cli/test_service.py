"""The daemon as a service: the real daemon, started from the real unit file by a stand-in."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from stoker.base.paths import paths_of
from stoker.client.running import running
from stoker.client.service import service_of
from tests.cli.conftest import Run
from tests.components import fake_systemctl
from tests.components.daemon import free_port


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session with a service manager; where its configuration lies."""
    tools = fake_systemctl.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("FAKE_BUS", raising=False)
    return tmp_path


def unit_of(home: Path) -> Path:
    return service_of({**os.environ, "STOKER_HOME": str(home)}, "linux").manager.unit


def test_registered_started_stopped_removed(
    stoker_process: Run, home: Path, config: Path
) -> None:  # fmt: skip
    port = free_port()
    unit = unit_of(home)
    done = stoker_process("install-runner", "--service", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    assert done.stdout == f"Running at {url}\nRegistered as {unit}\n", done.stderr
    assert "loginctl enable-linger" in done.stderr
    assert stat.S_IMODE(unit.stat().st_mode) == 0o600
    status = json.loads(stoker_process("status", "--json").stdout)
    # The port came by the file that start-runner keeps: the unit names none.
    assert (status["running"], status["endpoint"]) == (True, f"{url}/v1/")
    assert stoker_process("stop-runner").stdout == "Stopped\n"
    # Any command that needs it has the manager start it again.
    assert stoker_process("list").returncode == 0
    assert fake_systemctl.calls(config)[-1][1] == "start"
    first = running(paths_of({"STOKER_HOME": str(home)}))
    again = stoker_process("install-runner", "--service")
    assert again.stdout.startswith(f"Stopped\nRunning at {url}\n"), again.stderr
    assert running(paths_of({"STOKER_HOME": str(home)})) != first
    # A variable of this shell: the service sees no shell, so what it says is remembered.
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    named = {"MODEL_RUNNER_PORT": str(port), "STOKER_RECORD_REQUESTS": "1", "HF_TOKEN": "secret"}
    moved = stoker_process("reinstall-runner", "--service", env=named)
    assert moved.stdout.startswith(f"Stopped\nRunning at {url}\n"), moved.stderr
    text = unit.read_text()
    assert "STOKER_RECORD_REQUESTS=1" in text
    assert "MODEL_RUNNER_PORT" not in text
    assert "secret" not in text
    gone = stoker_process("uninstall-runner", "--service")
    assert gone.stdout == f"Removed {unit}\n", gone.stderr
    assert not unit.exists()
    assert stoker_process("status").returncode == 1
    assert stoker_process("uninstall-runner", "--service").stdout == "Not registered\n"


def test_a_daemon_that_cannot_start_leaves_nothing_registered(
    stoker_process: Run, home: Path, config: Path
) -> None:  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = stoker_process("install-runner", "--service", "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert not unit_of(home).exists()
    assert str(port) not in paths_of({"STOKER_HOME": str(home)}).runner.read_text()
    assert [call[1] for call in fake_systemctl.calls(config)][-2:] == ["disable", "daemon-reload"]


def test_no_session_no_service(
    stoker_process: Run, home: Path, config: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert stoker_process("start-runner").returncode == 0
    env = {"FAKE_BUS": "down"}
    done = stoker_process("install-runner", "--service", env=env)
    assert done.returncode == 1
    assert "systemctl does not answer here, so nothing was registered" in done.stderr
    assert "not by su or sudo" in done.stderr
    assert "Traceback" not in done.stderr
    assert not unit_of(home).exists()
    # What ran still runs.
    assert stoker_process("status").returncode == 0
    assert stoker_process("stop-runner").stdout == "Stopped\n"


def test_a_registered_service_without_its_manager(
    stoker_process: Run, home: Path, config: Path
) -> None:  # fmt: skip
    assert stoker_process("install-runner", "--service").returncode == 0
    assert stoker_process("stop-runner").returncode == 0
    down = {"FAKE_BUS": "down"}
    # Over ssh without a session, say: the daemon starts as if nothing was registered.
    assert stoker_process("start-runner", env=down).returncode == 0
    gone = stoker_process("uninstall-runner", env=down)
    assert gone.stdout == f"Removed {unit_of(home)}\nStopped\n", gone.stderr
