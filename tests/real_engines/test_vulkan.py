"""GPU offload without a GPU: llama.cpp compiled for Vulkan, on a driver that computes on the CPU.

What is planned is compared with what the engine's log says, device by device. The device is slow
and holds 2 GiB; the models are small.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.tiny_models import chat_model
from tests.components.vulkan import software_vulkan
from tests.planner.cases import MIB
from tests.planner.offload import GPU, ROWS, Row, try_row
from tests.real_engines.conftest import HOUR

ROUNDING = 0.011
"""MiB: the log has two decimals, of two buffers at most."""


@pytest.fixture(scope="module")
def vulkan() -> dict[str, str]:
    return software_vulkan(os.environ)


@pytest.fixture(scope="module")
def daemon(
    home: Path, tmp_path_factory: pytest.TempPathFactory, vulkan: dict[str, str]
) -> Iterator[Daemon]:
    """Another one, with a Vulkan build that was installed as a user would; it shares the cache."""
    mine = tmp_path_factory.mktemp("vulkan")
    (mine / "cache").mkdir()
    (mine / "cache" / "engines").symlink_to((home / "cache" / "engines").resolve())
    model = chat_model(tmp_path_factory.mktemp("files") / "tiny.gguf")
    with running_daemon(mine, **vulkan) as daemon:
        packaged = daemon.cli("package", "--gguf", str(model), "test/tiny")
        assert packaged.returncode == 0, packaged.stderr
        asked = ("install-runner", "--backend", "llama.cpp", "--gpu", "vulkan")
        done = daemon.cli(*asked, timeout=HOUR)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "llama.cpp b11549 (vulkan) installed\n"
        yield daemon


@pytest.fixture(scope="module")
def python(daemon: Daemon) -> str:
    """The interpreter of the build."""
    return str(next((daemon.home / "engines" / "llama.cpp").glob("vulkan-*/bin/python")))


def ask(daemon: Daemon, model: str = "test/tiny") -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 4,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{daemon.url}/engines/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        text: str = json.load(answer)["choices"][0]["message"]["content"]
        return text


def load_log(daemon: Daemon) -> str:
    """What the engine wrote at its last load."""
    text = daemon.cli("logs", "--backend", "llama.cpp").stdout
    return text[text.rindex("load_tensors: offloaded") :]


def configure(daemon: Daemon, *words: str) -> None:
    done = daemon.cli("configure", "test/tiny", *words)
    assert done.returncode == 0, done.stderr
    daemon.cli("unload", "--all")


def test_a_model_goes_to_the_gpu_and_the_plan_says_so(daemon: Daemon) -> None:
    plan = json.loads(daemon.cli("plan", "test/tiny", "--json").stdout)
    assert (plan["gpu_layers"], plan["layers"]) == (3, 3)
    assert [device["id"] for device in plan["devices"]] == [GPU, "host"]
    assert ask(daemon)
    assert "offloaded 3/3 layers to GPU" in load_log(daemon)
    row: dict[str, Any] = json.loads(daemon.cli("ps", "--json").stdout)[0]
    assert row["build"] == "b11549 (vulkan)"
    after = json.loads(daemon.cli("plan", "test/tiny", "--json").stdout)["devices"][0]
    parts = {part["name"]: part for part in after["parts"]}
    for name in ("weights", "cache"):
        assert parts[name]["measured"] == pytest.approx(parts[name]["bytes"], abs=MIB * ROUNDING)


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        (("--gpu", "required"), "offloaded 3/3"),
        (("--", "--gpu-layers", "2"), "offloaded 2/3"),
        (("--gpu", "never"), "offloaded 0/3"),
    ],
)
def test_the_policy_is_obeyed(daemon: Daemon, words: tuple[str, ...], layers: str) -> None:
    configure(daemon, *words)
    assert ask(daemon)
    log = load_log(daemon)
    assert layers in log
    assert (GPU in log) == ("0/3" not in layers)


def test_a_refusal_names_the_device_and_what_would_fit(daemon: Daemon) -> None:
    configure(daemon, "--gpu", "required", "--context-size", "2000000")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(daemon)
    said = refused.value.read().decode()
    assert refused.value.code == 422
    assert f"of {GPU}, where" in said
    assert "are missing" in said
    configure(daemon)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_the_plan_is_what_the_device_takes(
    row: Row, tmp_path: Path, python: str, vulkan: dict[str, str]
) -> None:
    found = try_row(row, tmp_path, python, {**os.environ, **vulkan})
    weights, cache, compute, host = found.pairs
    assert weights.taken == pytest.approx(weights.planned, abs=ROUNDING)
    assert cache.taken == pytest.approx(cache.planned, abs=ROUNDING)
    assert compute.taken <= compute.planned + found.margin
    if not row.divided:
        assert host.taken == pytest.approx(host.planned, rel=0.005)
    assert weights.taken + cache.taken + compute.taken <= found.on_gpu + ROUNDING
