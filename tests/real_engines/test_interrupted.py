"""Installations killed in the middle: no half engine is ever chosen, and nothing goes on working.

The daemon of the other tests has the same home and finds what is left here.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.components.daemon import STOKER, Daemon, running_daemon
from tests.components.processes import family_of, survivors

from .conftest import HOUR, INSTALL_LLAMACPP, INSTALL_VLLM


def half_of_vllm(home: Path, _daemon: Daemon) -> bool:
    """uv has begun to fill the environment."""
    return any((home / "engines" / "vllm").glob(".staging-*/lib/*/site-packages/torch"))


def half_of_llamacpp(home: Path, daemon: Daemon) -> bool:
    """The compiler runs; where it has done its work in an earlier run, the environment is made."""
    if any((home / "cache" / "engines" / "llama.cpp").glob("wheels-*-native/*.whl")):
        return any((home / "engines" / "llama.cpp").glob(".staging-*/bin/python"))
    return any(one.name() == "cc1plus" for one in family_of(daemon.process.pid))


@pytest.mark.parametrize(
    ("engine", "install", "half"),
    [("vllm", INSTALL_VLLM, half_of_vllm), ("llama.cpp", INSTALL_LLAMACPP, half_of_llamacpp)],
    ids=["vllm", "llama.cpp"],
)
def test_the_daemon_is_killed(
    home: Path, engine: str, install: tuple[str, ...], half: Callable[[Path, Daemon], bool]
) -> None:
    with (
        running_daemon(home) as daemon,
        subprocess.Popen([*STOKER, *install], env=dict(daemon.env), stderr=subprocess.PIPE) as run,
    ):
        deadline = time.monotonic() + HOUR
        while not half(home, daemon):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        family = family_of(daemon.process.pid)
        assert len(family) > 1
        daemon.process.kill()
        _, error = run.communicate(timeout=60)
        assert run.returncode == 1
        assert b"Traceback" not in error
        daemon.process.wait()
        assert not survivors(family)
    staging = list((home / "engines" / engine).glob(".staging-*"))
    assert staging
    with running_daemon(home) as daemon:
        status = json.loads(daemon.cli("status", "--json").stdout)
        assert status["backends"] == {
            "llama.cpp": "Running: llama.cpp b11549 (wheel)",
            "vllm": "Not Installed: stoker install-runner --backend vllm",
        }
        assert not any(path.exists() for path in staging)
