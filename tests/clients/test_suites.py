"""Strangers' clients, unmodified, each in a process of its own against one daemon."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.components.client_packages import ensure_node_clients, ensure_python_clients
from tests.components.daemon import Daemon

SUITES = Path(__file__).with_name("suites")
MORE = (
    "-p", "no:cacheprovider", "--import-mode=importlib", "-o", "asyncio_mode=auto",
    # langchain keeps one connection pool for the whole process.
    "-o", "asyncio_default_test_loop_scope=session",
)  # fmt: skip


@pytest.fixture(scope="session")
def clients() -> Path:
    return ensure_python_clients()


@pytest.mark.parametrize("suite", sorted(SUITES.glob("*_suite.py")), ids=lambda path: path.stem)
def test_python(daemon: Daemon, clients: Path, suite: Path, tmp_path: Path) -> None:
    options = ["-q", "-c", os.devnull, "--rootdir", str(SUITES), "--confcutdir", str(SUITES)]
    done = subprocess.run(
        [clients, "-m", "pytest", *options, *MORE, suite],
        env={**os.environ, "STOKER_TEST_URL": daemon.url, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


def test_node(daemon: Daemon) -> None:
    clients = ensure_node_clients()
    done = subprocess.run(
        [clients.node, SUITES / "node_suite.mjs", daemon.url, clients.packages],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "all well\n"
