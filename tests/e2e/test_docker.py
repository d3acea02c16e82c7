"""`docker model`, through the real docker client."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.components.daemon import Daemon
from tests.components.docker_client import ensure_docker


@pytest.fixture(scope="module")
def docker(daemon: Daemon) -> list[str]:
    """The client with our plugin installed by the command a user types."""
    installed = daemon.cli("docker-plugin", "install")
    assert installed.returncode == 0, installed.stderr
    assert (Path(daemon.env["DOCKER_CONFIG"]) / "cli-plugins" / "docker-model").exists()
    return [ensure_docker(), "model"]


def run(daemon: Daemon, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=dict(daemon.env), capture_output=True, text=True, timeout=60, check=False
    )


def test_run(daemon: Daemon, docker: list[str]) -> None:
    done = run(daemon, *docker, "run", "pilot", "hi")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_list_status_and_errors(daemon: Daemon, docker: list[str]) -> None:
    assert "pilot" in run(daemon, *docker, "list").stdout
    assert "llama.cpp" in run(daemon, *docker, "status").stdout
    wrong = run(daemon, *docker, "inspect", "nonesuch")
    assert wrong.returncode == 1
    assert "model not found" in wrong.stderr


def test_the_program_beside_this_python_is_what_was_installed(daemon: Daemon) -> None:
    link = Path(daemon.env["DOCKER_CONFIG"]) / "cli-plugins" / "docker-model"
    assert link.resolve() == Path(sys.executable).with_name("docker-model").resolve()
