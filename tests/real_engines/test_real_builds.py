"""Engines really compiled and really installed: `make test-engines`, some twenty minutes.

What took long is kept in the test cache and used again: delete `~/.cache/stoker-tests/engines` to
begin anew.
"""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stoker.engines.sample_model import write_sample
from stoker.engines.vllm_flags import ALLOWED
from tests.components.daemon import Daemon, running_daemon
from tests.components.debian import parts_cache
from tests.engines.vllm_help import RECORDED, flags_of

HOUR = 3600.0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose installations share a cache with those of earlier runs."""
    home = tmp_path_factory.mktemp("home")
    kept = parts_cache() / "engines"
    kept.mkdir(parents=True, exist_ok=True)
    (home / "cache").mkdir()
    (home / "cache" / "engines").symlink_to(kept)
    sample = write_sample(tmp_path_factory.mktemp("files") / "sample")
    with running_daemon(home) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        packaged = daemon.cli("package", "--safetensors", str(sample), "test/noise-vllm")
        assert packaged.returncode == 0, packaged.stderr
        yield daemon


def ask(daemon: Daemon, path: str, model: str, tokens: int = 8) -> dict[str, Any]:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "What is Stoker?"}],
        "max_tokens": tokens,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{daemon.url}{path}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def running(daemon: Daemon, engine: str) -> dict[str, Any]:
    rows = json.loads(daemon.cli("ps", "--json").stdout)
    found: dict[str, Any] = next(row for row in rows if row["backend_name"] == engine)
    return found


def test_a_native_llamacpp(daemon: Daemon) -> None:
    before = ask(daemon, "/engines/v1", "pilot")
    done = daemon.cli("install-runner", "--backend", "llama.cpp", "--gpu", "none", timeout=HOUR)
    assert done.returncode == 0, done.stderr
    after = ask(daemon, "/engines/llama.cpp/v1", "pilot")
    assert running(daemon, "llama.cpp")["build"] == "b11549 (native)"
    assert after["choices"][0]["message"] == before["choices"][0]["message"]


def test_vllm_beside_it(daemon: Daemon) -> None:
    done = daemon.cli("install-runner", "--backend", "vllm", "--gpu", "none", timeout=HOUR)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "vllm 0.32.0 (cpu) installed\n"
    answer = ask(daemon, "/engines/vllm/v1", "test/noise-vllm")
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["model"] == "test/noise-vllm"
    # Not named, it is chosen by the model's format; both engines answer at once.
    answers: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda m=model: answers.append(ask(daemon, "/engines/v1", m, 64)))
        for model in ("pilot", "test/noise-vllm")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer["model"] for answer in answers} == {"pilot", "test/noise-vllm"}
    assert running(daemon, "vllm")["build"] == "0.32.0 (cpu)"


def test_vllm_killed_is_loaded_anew_and_leaves_nothing(daemon: Daemon) -> None:
    process = psutil.Process(running(daemon, "vllm")["pid"])
    family = [process, *process.children(recursive=True)]
    os.kill(process.pid, signal.SIGKILL)
    assert ask(daemon, "/engines/v1", "test/noise-vllm")["usage"]["completion_tokens"] == 8
    deadline = time.monotonic() + 40
    while any(one.is_running() for one in family):
        assert time.monotonic() < deadline, family
        time.sleep(0.1)


def test_every_flag_that_users_may_pass_is_one_of_vllms(daemon: Daemon) -> None:
    (python,) = (daemon.home / "engines" / "vllm").glob("*/bin/python")
    command = [str(python), "-I", "-m", "vllm.entrypoints.cli.main", "serve", "--help=all"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"}
    )
    known = flags_of(done.stdout)
    assert known.keys() >= ALLOWED
    assert known == flags_of(RECORDED.read_text())


def test_uninstalled_without_a_trace(daemon: Daemon) -> None:
    (daemon.home / "cache" / "engines").unlink()  # what is kept for the next run stays
    daemon.cli("unload", "--all")
    for engine in ("vllm", "llama.cpp"):
        done = daemon.cli("uninstall-runner", "--backend", engine)
        assert done.returncode == 0, done.stderr
    assert not list((daemon.home / "engines").iterdir())
    answer = ask(daemon, "/engines/v1", "pilot")
    assert answer["choices"][0]["message"]["content"]
    assert running(daemon, "llama.cpp")["build"] == "b11549 (wheel)"


def test_the_cache_is_there_for_the_next_run() -> None:
    kept: Path = parts_cache() / "engines"
    assert list(kept.glob("llama.cpp/wheels-*/*.whl"))
