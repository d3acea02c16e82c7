"""One daemon, and the engines that are really compiled and really installed in it.

What took long is kept in the test cache and used again: delete `~/.cache/stoker-tests/engines` to
begin anew.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.debian import parts_cache

PILOT = Path(__file__).parents[2] / "models" / "pilot"
HOUR = 3600.0
INSTALL_VLLM = ("install-runner", "--backend", "vllm", "--gpu", "none")
INSTALL_LLAMACPP = ("install-runner", "--backend", "llama.cpp", "--gpu", "none")

# First what needs no daemon that runs, then what fails soonest, last what takes all away.
_ORDER = ("test_interrupted", "test_same_tokens", "test_vllm_failures", "test_vllm_code",
          "test_vllm_settings", "test_vllm_faults", "test_native", "test_vulkan",
          "test_uninstall")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if item.path.parent == Path(__file__).parent]
    mine.sort(key=lambda item: _ORDER.index(item.path.stem))
    items[:] = [item for item in items if item not in mine] + mine


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose installations share a cache with those of earlier runs."""
    home = tmp_path_factory.mktemp("home")
    kept = parts_cache() / "engines"
    kept.mkdir(parents=True, exist_ok=True)
    (home / "cache").mkdir()
    (home / "cache" / "engines").symlink_to(kept)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs would compile in the same place
        yield home


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pilot as Hugging Face's files; a copy, for what the store is given becomes read-only."""
    return Path(shutil.copytree(PILOT / "weights", tmp_path_factory.mktemp("files") / "pilot"))


@pytest.fixture(scope="session")
def daemon(home: Path, weights: Path) -> Iterator[Daemon]:
    """With `pilot`, and the same weights as safetensors: `test/pilot-vllm`."""
    with running_daemon(home) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        package(daemon, weights, "test/pilot-vllm")
        yield daemon


@pytest.fixture(scope="session")
def vllm(daemon: Daemon) -> Daemon:
    """The daemon with vLLM in it."""
    done = daemon.cli(*INSTALL_VLLM, timeout=HOUR)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "vllm 0.32.0 (cpu) installed\n"
    return daemon


@pytest.fixture(scope="session")
def native(daemon: Daemon) -> Daemon:
    """The daemon with llama.cpp compiled for this processor."""
    done = daemon.cli(*INSTALL_LLAMACPP, timeout=HOUR)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "llama.cpp b11549 (native) installed\n"
    return daemon


def package(daemon: Daemon, folder: Path, name: str) -> None:
    done = daemon.cli("package", "--copy", "--safetensors", str(folder), name)
    assert done.returncode == 0, done.stderr


def running(daemon: Daemon, model: str) -> dict[str, Any]:
    """The row of `ps` for a loaded model."""
    rows = json.loads(daemon.cli("ps", "--json").stdout)
    found: dict[str, Any] = next(row for row in rows if row["model_name"] == model)
    return found


def kill_in_a_stream(
    daemon: Daemon, model: str, victim: psutil.Process, *, tokens: int, answers: int = 1
) -> None:
    """The client gets an error, and not what could be taken for an end.

    So many `answers` of so many `tokens` that they are more than all sockets on the way hold: they
    are not over before the client, on two busy cores, has read the first word.
    """
    client = openai.OpenAI(base_url=f"{daemon.url}/engines/v1", api_key="none", max_retries=0)
    cut = client.completions.create(
        model=model,
        prompt="hi",
        max_tokens=tokens,
        n=answers,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(cut)
    victim.kill()
    with pytest.raises(openai.APIError):
        list(cut)
