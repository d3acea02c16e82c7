"""Engines installed by the real command line, daemon and pip; only the compiler's work is faked."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import STOKER, Daemon, running_daemon
from tests.components.fake_sdist import fake_sdist
from tests.components.http import ask

INSTALL = ("install-runner", "--backend", "llama.cpp", "--gpu", "none")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip's only source of packages."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    only_here = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(packages),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    with running_daemon(home, **only_here) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


@pytest.fixture(autouse=True)
def clean(daemon: Daemon) -> Iterator[None]:
    yield
    done = daemon.cli("uninstall-runner", "--backend", "llama.cpp")
    assert done.stdout == "Uninstalled llama.cpp backend\n", done.stderr
    assert builds(daemon) == [("b11549", "wheel", True)]


def status(daemon: Daemon) -> dict[str, object]:
    found: dict[str, object] = json.loads(daemon.cli("status", "--json").stdout)
    return found


def builds(daemon: Daemon) -> list[tuple[str, str, bool]]:
    found = status(daemon)["builds"]
    assert isinstance(found, list)
    rows = [one for one in found if one["backend"] == "llama.cpp"]
    return [(one["version"], one["source"], one.get("active", False)) for one in rows]


def engine_build(daemon: Daemon) -> str:
    """Which build answers a request now."""
    assert daemon.cli("run", "pilot", "hi").returncode == 0
    (running,) = json.loads(daemon.cli("ps", "--json").stdout)
    return str(running["build"])


def test_install_run_reinstall(daemon: Daemon, packages: Path) -> None:
    fake_sdist(packages)
    assert engine_build(daemon) == "b11549 (wheel)"
    done = daemon.cli(*INSTALL, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "llama.cpp b11549 (native) installed\n"
    # Who follows slowly is told the last of what came meanwhile.
    assert re.search(r"compiling llama\.cpp: (55|99) %", done.stderr)
    assert "testing it" in done.stderr
    backends = status(daemon)["backends"]
    assert isinstance(backends, dict)
    assert backends["llama.cpp"].startswith("Running: llama.cpp b11549 (native)")
    assert engine_build(daemon) == "b11549 (native)"
    # What was compiled once is not compiled again, unless that is what is wanted.
    again = daemon.cli(*INSTALL, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "compiling" not in again.stderr
    anew = daemon.cli("reinstall-runner", "--backend", "llama.cpp", timeout=120)
    assert anew.returncode == 0, anew.stderr
    assert "compiling" in anew.stderr
    assert builds(daemon) == [("b11549", "native", True), *[("b11549", "native", False)] * 2]
    assert engine_build(daemon) == "b11549 (native)"
    lines = daemon.cli("status").stdout.splitlines()
    assert "llama.cpp: running llama.cpp version: b11549" in lines
    assert [line.split()[2] for line in lines if "in use" in line] == ["native"]


def test_one_variant_is_removed(daemon: Daemon, packages: Path) -> None:
    fake_sdist(packages)
    assert daemon.cli(*INSTALL, timeout=120).returncode == 0
    remove = ("uninstall-runner", "--backend", "llama.cpp", "--gpu")
    wrong = daemon.cli(*remove, "vulkan")
    assert wrong.returncode == 1
    assert "llama.cpp has no build for --gpu vulkan" in wrong.stderr
    assert "hint: installed: native" in wrong.stderr
    assert engine_build(daemon) == "b11549 (native)"
    done = daemon.cli(*remove, "none")
    assert done.stdout == "Uninstalled llama.cpp backend (--gpu none)\n", done.stderr
    assert builds(daemon) == [("b11549", "wheel", True)]
    lone = daemon.cli("uninstall-runner", "--gpu", "none")
    assert "--gpu goes with --backend" in lone.stderr


def test_what_is_removed_is_deleted_without_anybody_waiting(daemon: Daemon, packages: Path) -> None:
    fake_sdist(packages)
    assert daemon.cli(*INSTALL, timeout=120).returncode == 0
    (directory,) = (daemon.home / "engines" / "llama.cpp").glob("native-*")
    done = daemon.cli("uninstall-runner", "--backend", "llama.cpp")
    assert done.returncode == 0, done.stderr
    assert not directory.exists()
    body = {"backend": "llama.cpp", "wait": True}
    assert ask(daemon, "POST", "/engines/uninstall-backend", body).json == {"builds": 0}
    assert list((daemon.home / "engines" / ".trash").iterdir()) == []
    assert list((daemon.home / "cache" / "engines" / ".trash").iterdir()) == []


def test_what_an_earlier_daemon_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "engines" / ".trash" / "left" / "lib").mkdir(parents=True)
    (tmp_path / "engines" / "vllm" / ".staging-new").mkdir(parents=True)
    with running_daemon(tmp_path) as later:
        body = {"backend": "vllm", "wait": True}
        assert ask(later, "POST", "/engines/uninstall-backend", body).status == 200
        assert [path.name for path in (tmp_path / "engines").iterdir()] == [".trash"]
        assert list((tmp_path / "engines" / ".trash").iterdir()) == []


def test_a_compiler_error_changes_nothing(daemon: Daemon, packages: Path) -> None:
    fake_sdist(packages, sabotage='raise SystemExit("x.cpp:7: error: no such instruction")')
    done = daemon.cli(*INSTALL, timeout=120)
    assert done.returncode == 1
    assert "x.cpp:7: error: no such instruction" in done.stderr
    assert "Traceback" not in done.stderr
    assert engine_build(daemon) == "b11549 (wheel)"


def test_a_build_that_does_not_work_is_not_used(daemon: Daemon, packages: Path) -> None:
    fake_sdist(packages, broken=True)
    done = daemon.cli(*INSTALL, timeout=120)
    assert done.returncode == 1
    assert "xllamacpp cannot be imported" in done.stderr
    assert engine_build(daemon) == "b11549 (wheel)"


def test_ctrl_c_ends_it_without_a_trace(daemon: Daemon, packages: Path) -> None:
    fake_sdist(packages, pause=60)
    with subprocess.Popen([*STOKER, *INSTALL], env=dict(daemon.env), stderr=subprocess.PIPE) as run:
        assert run.stderr
        while b"10 %" not in (line := run.stderr.readline()):
            assert line, "ended too early"
        busy = daemon.cli("uninstall-runner", "--backend", "llama.cpp")
        assert "being installed" in busy.stderr
        text = daemon.cli("status").stdout
        assert "llama.cpp: installing: compiling llama.cpp 10 %" in text
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
    assert run.returncode == 130
    assert b"goes on where this one stopped" in rest
    deadline = time.monotonic() + 10
    while "installing" in daemon.cli("status").stdout:
        assert time.monotonic() < deadline
    assert daemon.engine_pids() == []
    assert not list((daemon.home / "engines").rglob(".staging-*"))


def test_refusals(daemon: Daemon) -> None:
    unknown = daemon.cli("install-runner", "--backend", "tgi")
    assert (unknown.returncode, "backend not found" in unknown.stderr) == (1, True)
    wrong = daemon.cli("install-runner", "--backend", "llama.cpp", "--gpu", "quantum")
    assert 'unknown GPU specification: "quantum"' in wrong.stderr


def test_a_missing_compiler_is_asked_for(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    apt = tools / "apt-get"
    apt.symlink_to("/bin/true")
    with running_daemon(tmp_path, PATH=str(tools)) as daemon:
        done = daemon.cli(*INSTALL)
        assert done.returncode == 1
        assert "needs a C++ compiler" in done.stderr
        expected = "g++" if shutil.which("make", path=str(tools)) else "g++ make"
        assert f"hint: sudo apt-get install -y {expected}" in done.stderr


def test_docker_model_runners_own_request(daemon: Daemon) -> None:
    """Its clients send this and wait for the answer; no progress, and its words for errors."""
    script = (
        "import json, sys, urllib.request as u, urllib.error\n"
        "url, body = sys.argv[1], sys.argv[2].encode()\n"
        "try: print(u.urlopen(url, body).status)\n"
        "except urllib.error.HTTPError as e: print(e.code, e.read().decode())\n"
    )

    def post(route: str, body: str) -> str:
        argv = [sys.executable, "-c", script, f"{daemon.url}/engines/{route}", body]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert post("install-backend", "{}").startswith("400 invalid request: backend is required")
    assert post("install-backend", '{"backend":"tgi"}').startswith("404 backend not found")
    refused = post("install-backend", '{"backend":"llama.cpp","gpu":"metal"}')
    assert refused.startswith("400 backend installation failed: Metal")
    assert post("uninstall-backend", '{"backend":"tgi"}').startswith("404")
    assert post("install-backend/cancel", '{"backend":"llama.cpp"}').startswith("409")
