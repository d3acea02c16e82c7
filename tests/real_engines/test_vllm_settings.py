"""What is configured reaches the real vLLM: as it says itself, on its own socket."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.engines.record_flags import vllm_help
from stoker.engines.vllm_flag_table import flags_of
from stoker.engines.vllm_flags import TABLE
from stoker.planner.vllm import CPU_PROCESSES
from tests.components.daemon import Daemon
from tests.components.http import ask
from tests.engines.vllm_help import RECORDED, heads_of

from .conftest import package

ROOMY = "test/roomy-vllm"
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}


@pytest.fixture(scope="module")
def roomy(
    vllm: Daemon, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """pilot, saying of itself that it can follow 16384 tokens; nothing else is loaded."""
    folder = Path(shutil.copytree(weights, tmp_path_factory.mktemp("files") / "roomy"))
    config = folder / "config.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 16384})
    )
    package(vllm, folder, ROOMY)
    vllm.cli("unload", "--all")
    yield vllm
    vllm.cli("unload", "--all")


def length(daemon: Daemon) -> int:
    """`max_model_len` of the only engine that runs."""
    (socket,) = (daemon.home / "run").glob("*/e.sock")
    asked = ["curl", "-sf", "--unix-socket", str(socket), "http://engine/v1/models"]
    found = subprocess.run(asked, capture_output=True, check=True).stdout
    return int(json.loads(found)["data"][0]["max_model_len"])


def test_on_the_command_line(roomy: Daemon) -> None:
    done = roomy.cli("configure", "--hf_overrides", '{"max_model_len": 8192}', ROOMY)
    assert done.returncode == 0, done.stderr
    answered = roomy.cli("run", ROOMY, "hi", timeout=600)
    assert answered.returncode == 0, answered.stderr
    assert length(roomy) == 8192
    plan = json.loads(roomy.cli("plan", ROOMY, "--json").stdout)
    (host,) = plan["devices"]
    measured = next(part["measured"] for part in host["parts"] if part["name"] == "processes")
    assert 2**29 < measured < 2**32
    assert plan["total"] - plan["computed"] == measured - CPU_PROCESSES


def test_over_the_api(roomy: Daemon) -> None:
    """Docker Model Runner's route and spelling; what ran with other settings is loaded anew."""
    wish = {
        "model": ROOMY,
        "vllm": {"hf-overrides": {"max_model_len": 4096}},
        "runtime-flags": ["--enforce-eager"],
    }
    assert ask(roomy, "POST", "/engines/vllm/_configure", wish).status == 202
    body = {**CHAT, "model": ROOMY}
    answer = ask(roomy, "POST", "/engines/v1/chat/completions", body, timeout=600)
    assert answer.status == 200, answer.body
    assert length(roomy) == 4096


def test_more_than_the_model_can_follow(vllm: Daemon) -> None:
    asked = vllm.cli("configure", "--hf_overrides", '{"max_model_len": 8192}', "test/pilot-vllm")
    assert asked.returncode == 0, asked.stderr
    done = vllm.cli("run", "test/pilot-vllm", "hi", timeout=600)
    assert done.returncode == 1
    assert "a context of 8192 tokens is more than the model's 2048" in done.stderr
    assert vllm.cli("configure", "--hf_overrides", "{}", "test/pilot-vllm").returncode == 0


def test_the_table_of_flags_is_what_vllm_itself_says(vllm: Daemon) -> None:
    (python,) = (vllm.home / "engines" / "vllm").glob("*/bin/python")
    shown = vllm_help(str(python))
    assert [flag.line() for flag in flags_of(shown)] == [
        flag.line() for flag in dict.fromkeys(TABLE.values())
    ]
    assert heads_of(shown) == heads_of(RECORDED.read_text())
