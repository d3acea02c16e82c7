"""The real vLLM killed, hung, cut off and orphaned: told to the client, mended, nothing left."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stoker.engines.sample_model import write_sample
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask
from tests.components.processes import family_of, survivors

from .conftest import kill_in_a_stream, package, running

NOISE = "test/noise-vllm"
CHAT = {"model": NOISE, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
WORKERS = 2  # VLLM::EngineCore and VLLM::Worker


@pytest.fixture(scope="module")
def noisy(vllm: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A model of random numbers that talks for as long as it is let; not compiled, for speed."""
    package(vllm, write_sample(tmp_path_factory.mktemp("files") / "sample"), NOISE)
    assert vllm.cli("configure", NOISE, "--", "--enforce-eager").returncode == 0
    return vllm


@pytest.fixture
def family(noisy: Daemon) -> list[psutil.Process]:
    """The processes of the loaded engine, its API server first."""
    assert answers(noisy)
    found = family_of(running(noisy, NOISE)["pid"])
    assert sum(one.name().startswith("VLLM::") for one in found) == WORKERS
    return found


def answers(daemon: Daemon) -> bool:
    answer = ask(daemon, "POST", "/engines/v1/chat/completions", CHAT, timeout=600)
    assert answer.status == 200, answer.body
    return bool(answer.json["usage"]["completion_tokens"] == CHAT["max_tokens"])


@pytest.mark.parametrize("victim", ["the server", "VLLM::Worker", "VLLM::EngineCore"])
def test_killed_in_the_middle_of_a_stream(
    noisy: Daemon, family: list[psutil.Process], victim: str
) -> None:
    found = family[0] if victim == "the server" else _named(family, victim)
    kill_in_a_stream(noisy, NOISE, found, tokens=400, answers=128)
    assert not survivors(family)
    assert answers(noisy)


def test_a_stop_that_hangs(noisy: Daemon, family: list[psutil.Process]) -> None:
    for one in family:
        one.suspend()
    assert noisy.cli("unload", NOISE).returncode == 0
    assert not survivors(family)
    assert answers(noisy)


def test_the_socket_is_taken_away(noisy: Daemon) -> None:
    noisy.cli("unload", NOISE)
    loading = {"X-Preload-Only": "true"}  # no connection is left open that would still serve
    ask(noisy, "POST", "/engines/v1/chat/completions", CHAT, loading, timeout=600)
    family = family_of(running(noisy, NOISE)["pid"])
    for path in (noisy.home / "run").glob("*/e.sock"):
        path.unlink()
    assert answers(noisy)
    assert not survivors(family)


@pytest.fixture
def second(noisy: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """Another daemon, with the same engines and models."""
    for shared in ("engines", "models", "config"):
        (tmp_path / shared).symlink_to(noisy.home / shared)
    with running_daemon(tmp_path) as daemon:
        yield daemon


def test_the_daemon_is_killed(second: Daemon) -> None:
    assert answers(second)
    family = family_of(running(second, NOISE)["pid"])
    os.kill(second.process.pid, signal.SIGKILL)
    assert not survivors(family)


def _named(family: list[psutil.Process], name: str) -> psutil.Process:
    (found,) = (one for one in family if one.name() == name)
    return found
