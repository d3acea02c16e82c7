"""`docker model`, with the real docker client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stoker import __version__
from stoker.cli.plugin import metadata, own_arguments
from tests.cli.conftest import Stoker
from tests.components.docker_client import ensure_docker
from tests.components.stub_daemon import Stub

PLUGIN = Path(sys.executable).parent / "docker-model"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "docker"
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    monkeypatch.setattr(sys, "argv", [str(PLUGIN.with_name("stoker"))])
    return directory


def docker(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [ensure_docker(), *argv]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("argv", "ours"),
    [
        (["model", "ls"], ["ls"]),
        (["--context", "x", "-l", "debug", "--tls", "model", "ls", "-q"], ["ls", "-q"]),
        (["--log-level=debug", "-D", "model", "ps"], ["--debug", "ps"]),
        (["help", "model"], ["help"]),
        (["help", "model", "run"], ["help", "run"]),
        (["__complete", "model", "run", ""], ["__complete", "run", ""]),
        (["ls"], ["ls"]),
        (["--help"], ["--help"]),
        (["model", "run", "m", "model"], ["run", "m", "model"]),
        (["run", "m", "-D", "model"], ["run", "m", "-D", "model"]),
        ([], []),
    ],
)
def test_dockers_own_flags_are_left_out(argv: list[str], ours: list[str]) -> None:
    assert own_arguments(argv) == ours


def test_metadata() -> None:
    assert json.loads(metadata()) == {
        "SchemaVersion": "0.1.0",
        "Vendor": "Stoker",
        "Version": f"v1.2.0-stoker.{__version__}",
        "ShortDescription": "Docker Model Runner",
    }


def test_install_and_uninstall(stoker: Stoker, config: Path) -> None:
    link = config / "cli-plugins/docker-model"
    assert stoker("docker-plugin", "status").out == f"missing: {link}\n"
    assert stoker("docker-plugin", "uninstall").out == "Not installed\n"
    outcome = stoker("docker-plugin", "install")
    assert outcome.out.startswith(f"{link} -> {PLUGIN}\nTry it: docker model run pilot")
    assert stoker("docker-plugin", "install").code == 0
    assert json.loads(stoker("docker-plugin", "status", "--json").out)["state"] == "installed"
    assert stoker("docker-plugin", "uninstall").out == f"Removed {link}\n"
    assert not os.path.lexists(link)


def test_what_is_not_ours_stays(stoker: Stoker, config: Path) -> None:
    link = config / "cli-plugins/docker-model"
    link.parent.mkdir(parents=True)
    link.write_text("Docker's own")
    outcome = stoker("docker-plugin", "install")
    assert outcome.code == 1
    assert "is there already and is not ours" in outcome.err
    assert "--force" in outcome.err
    assert stoker("docker-plugin", "uninstall").code == 1
    assert link.read_text() == "Docker's own"
    assert stoker("docker-plugin", "install", "--force").code == 0
    assert link.is_symlink()


def test_a_link_to_an_environment_that_is_gone_is_replaced(stoker: Stoker, config: Path) -> None:
    link = config / "cli-plugins/docker-model"
    link.parent.mkdir(parents=True)
    link.symlink_to(config / "old-venv/bin/docker-model")
    assert stoker("docker-plugin", "status").out.startswith("broken: ")
    assert stoker("docker-plugin", "install").code == 0
    assert link.samefile(PLUGIN)


def test_the_docker_client_finds_and_runs_it(stoker: Stoker, config: Path, daemon: Stub) -> None:
    assert stoker("docker-plugin", "install").code == 0
    assert "model*" in docker("--help").stdout
    version = docker("model", "version")
    assert (version.returncode, version.stderr) == (0, "")
    assert f"Client:\n Version:    {__version__}\n" in version.stdout
    assert " Version:    9.9\n" in version.stdout
    assert docker("-D", "model", "ls", "-q").stdout == "354bf30d0aa3\n"
    assert docker("model", "run", "smollm2", "hi").stdout == "Hello there\n"
    assert docker("help", "model", "run").stdout.startswith("Usage:  docker model run")
    assert "docker model run pilot" in docker("model", "--help").stdout
    assert "pull\tDownload a model" in docker("__complete", "model", "pul").stdout
    wrong = docker("model", "pull")
    assert wrong.returncode == 2
    assert "'docker model pull' requires 1 argument(s)." in wrong.stderr
