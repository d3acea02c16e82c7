"""Two engines: which one runs what, and what is said when that cannot be."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from stoker.engines.sample_model import write_sample
from stoker.engines.tether import landlock_version
from tests.components.daemon import Daemon, running_daemon

INSTALL = "stoker install-runner --backend vllm"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a GGUF and a safetensors model; vLLM is not installed."""
    sample = write_sample(tmp_path_factory.mktemp("files") / "sample")
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        packaged = daemon.cli("package", "--safetensors", str(sample), "test/noise-vllm")
        assert packaged.returncode == 0, packaged.stderr
        yield daemon


def chat(daemon: Daemon, engine: str, model: str) -> tuple[int, dict[str, Any]]:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    request = urllib.request.Request(
        f"{daemon.url}/engines/{engine}v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


CONFINED = "" if landlock_version() >= 4 else ", not confined"


def test_status_knows_both(daemon: Daemon) -> None:
    status = json.loads(daemon.cli("status", "--json").stdout)
    assert status["backends"] == {
        "llama.cpp": f"Running: llama.cpp b11549 (wheel){CONFINED}",
        "vllm": f"Not Installed: {INSTALL}",
    }
    assert status["builds"] == [
        {"backend": "llama.cpp", "version": "b11549", "source": "wheel", "active": True}
    ]
    assert INSTALL in daemon.cli("status").stdout


@pytest.mark.parametrize("engine", ["", "vllm/"])
def test_safetensors_without_vllm(daemon: Daemon, engine: str) -> None:
    status, body = chat(daemon, engine, "test/noise-vllm")
    assert status == 412
    assert body["error"]["code"] == "engine_not_installed"
    assert f"install it with: {INSTALL}" in body["error"]["message"]


def test_run_says_how_to_install_vllm(daemon: Daemon) -> None:
    done = daemon.cli("run", "test/noise-vllm", "hi")
    assert done.returncode == 1
    assert "vllm is not installed" in done.stderr
    assert INSTALL in done.stderr


def test_an_engine_that_cannot_read_the_format(daemon: Daemon) -> None:
    status, body = chat(daemon, "vllm/", "pilot")
    assert status == 422
    assert "llama.cpp" in body["error"]["message"]
    status, body = chat(daemon, "llama.cpp/", "test/noise-vllm")
    assert status == 422
    assert "vllm" in body["error"]["message"]
    done = daemon.cli("run", "--backend", "vllm", "pilot", "hi")
    assert done.returncode == 1
    assert "engines that read gguf: llama.cpp" in done.stderr


def test_an_engine_nobody_knows(daemon: Daemon) -> None:
    status, body = chat(daemon, "tgi/", "pilot")
    assert status == 404
    assert "known engines: llama.cpp, vllm" in body["error"]["message"]


def test_named_and_chosen_engine_answer_alike(daemon: Daemon) -> None:
    assert chat(daemon, "llama.cpp/", "pilot")[0] == chat(daemon, "", "pilot")[0] == 200


def test_vllm_settings_are_checked_when_configured(daemon: Daemon) -> None:
    good = daemon.cli(
        "configure", "--hf_overrides", '{"max_model_len": 8192}', "test/noise-vllm"
    )  # fmt: skip
    assert good.returncode == 0, good.stderr
    shown = daemon.cli("configure", "show", "test/noise-vllm").stdout
    assert re.search(r"context-size +8192 +configure", shown)
    assert '{"max_model_len":8192}' in shown
    bad = daemon.cli("configure", "test/noise-vllm", "--", "--trust-remote-code")
    assert bad.returncode == 1
    assert 'runtime flag "--trust-remote-code" is not allowed for backend "vllm"' in bad.stderr
    over = daemon.cli("configure", "--gpu-memory-utilization", "1.5", "test/noise-vllm")
    assert "between 0.0 and 1.0" in over.stderr
    many = daemon.cli("configure", "--parallel", "3", "test/noise-vllm")
    assert many.returncode == 0, many.stderr
    small = daemon.cli("configure", "--kv-type", "q8_0", "test/noise-vllm")
    assert "vLLM's is: -- --kv-cache-dtype fp8" in small.stderr
    daemon.cli("configure", "test/noise-vllm")


def test_settings_of_another_engine_are_refused(daemon: Daemon) -> None:
    for setting in (["--hf_overrides", '{"a": 1}'], ["--gpu-memory-utilization", "0.5"]):
        refused = daemon.cli("configure", "pilot", *setting)
        assert refused.returncode == 1
        assert "settings of vLLM, and this model runs with llama.cpp" in refused.stderr
