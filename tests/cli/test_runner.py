"""The daemon in the background: the real one, started and stopped by the real commands."""

import json
import socket
from pathlib import Path

import psutil

from stoker.base.paths import paths_of
from stoker.client.running import running
from tests.cli.conftest import Run
from tests.components.daemon import free_port


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


def test_what_it_was_told_holds_until_told_otherwise(stoker_process: Run, home: Path) -> None:
    port, other = str(free_port()), str(free_port())
    assert stoker_process("start-runner", "--port", port).returncode == 0
    same = stoker_process("start-runner", "--port", port, "--host", "127.0.0.1", "--do-not-track")
    assert same.stdout == f"Already running at http://127.0.0.1:{port}\n", same.stderr
    moved = stoker_process("start-runner", "--port", other)
    assert moved.returncode == 1
    assert "it is running already, with another port" in moved.stderr
    assert f"hint: stoker restart-runner --port {other}" in moved.stderr
    assert stoker_process("stop-runner").returncode == 0
    # Started by a command that says nothing about ports, in a shell that knows none.
    assert stoker_process("list").returncode == 0
    status = json.loads(stoker_process("status", "--json").stdout)
    assert status["endpoint"] == f"http://127.0.0.1:{port}/v1/"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        refused = stoker_process("restart-runner", "--port", taken)
    nowhere = stoker_process("restart-runner", "--host", "192.0.2.1")
    for done, why in ((refused, "already in use"), (nowhere, "assign requested address")):
        assert (done.returncode, done.stdout) == (1, "")  # the one that runs goes on
        assert f"{why}\nhint: --host" in done.stderr
    again = stoker_process("start-runner")
    assert again.stdout == f"Already running at http://127.0.0.1:{port}\n", again.stderr
    assert stoker_process("stop-runner").returncode == 0
    paths_of({"STOKER_HOME": str(home)}).runner.write_text("[]")
    damaged = stoker_process("start-runner")
    assert "runner.json is damaged" in damaged.stderr
    assert "hint: remove it" in damaged.stderr


def test_tls_is_remembered_too(stoker_process: Run, tmp_path: Path) -> None:
    started = stoker_process("start-runner", "--tls")
    assert started.stdout.startswith("Running at https://127.0.0.1:"), started.stderr
    assert stoker_process("start-runner", "--tls=true").stdout.startswith("Already running at")
    plain = stoker_process("start-runner", "--tls", "off")
    assert "it is running already, with another tls" in plain.stderr
    assert "hint: stoker restart-runner --tls off" in plain.stderr
    again = stoker_process("restart-runner")
    assert again.stdout.startswith("Stopped\nRunning at https://"), again.stderr
    cert = stoker_process("restart-runner", "--tls-cert", str(tmp_path / "none.pem"))
    assert cert.returncode == 1
    assert "none.pem is not there" in cert.stderr
    assert cert.stdout == ""  # the one that runs goes on
    assert stoker_process("status").stdout.startswith("Docker Model Runner is running")
    assert stoker_process("stop-runner").stdout == "Stopped\n"
    off = stoker_process("start-runner", "--tls=false")
    assert off.stdout.startswith("Running at http://"), off.stderr
    lone = stoker_process("restart-runner", "--tls-key", "x.pem")
    assert "--tls-key goes with --tls-cert" in lone.stderr
    assert stoker_process("stop-runner").returncode == 0


def test_an_engine_that_must_be_there(stoker_process: Run) -> None:
    started = stoker_process("start-runner", "--backend", "llama.cpp", "--gpu", "none")
    assert started.stdout.splitlines()[1] == "llama.cpp: running llama.cpp version: b11549"
    missing = stoker_process("start-runner", "--backend", "vllm")
    assert missing.returncode == 1
    assert "error: vllm is not installed" in missing.stderr
    assert "hint: stoker install-runner --backend vllm" in missing.stderr
    unknown = stoker_process("restart-runner", "--backend", "tgi")
    assert "unknown backend: 'tgi'" in unknown.stderr
    assert stoker_process("run", "pilot", "hi").returncode == 0
    assert stoker_process("stop-runner", "--backend", "llama.cpp").stdout == (
        "Unloaded 1 model(s).\n"
    )
    vulkan = stoker_process("restart-runner", "--gpu", "vulkan")
    assert vulkan.returncode == 0
    assert "note: no engine has a build for --gpu vulkan" in vulkan.stderr
    wrong = stoker_process("restart-runner", "--gpu", "quantum")
    assert "gpu cannot be 'quantum'; it must be one of auto, none, cuda" in wrong.stderr
    assert wrong.stdout == ""  # it still runs
    assert stoker_process("reinstall-runner", "--port", "99999").stdout == ""
    assert stoker_process("status").returncode == 0
    assert stoker_process("stop-runner", "--models").stdout.endswith("Stopped\n")


def test_a_taken_port_is_said_in_one_line(stoker_process: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        outcome = stoker_process("start-runner", "--port", str(port))
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: the daemon did not start: ")
    assert f"port {port} " in outcome.stderr
    assert "\nhint: " in outcome.stderr
    assert "Traceback" not in outcome.stderr
