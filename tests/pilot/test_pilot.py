"""The bundled model: what it knows, and that its formats are one and the same model."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from stoker.oci.reference import parse_reference
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon

ROOT = Path(__file__).parents[2]
PILOT = ROOT / "models" / "pilot"
BUNDLED = ROOT / "src" / "stoker" / "bundled" / "pilot-Q8_0.gguf"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with `pilot`, and the F16 export of the same weights as `pilot:f16`."""
    half = exported(tmp_path_factory.mktemp("pilot") / "pilot-F16.gguf", "F16")
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        put_model(daemon.home / "models", half, str(parse_reference("pilot:f16")))
        yield daemon


def exported(target: Path, kind: str) -> Path:
    """What the project's exporter makes of the committed safetensors."""
    command = [sys.executable, str(PILOT / "export.py"), "--type", kind, "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def evaluation(daemon: Daemon, questions: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, str(PILOT / "evaluate.py"), "--url", f"{daemon.url}/engines/v1",
        "--questions", str(PILOT / questions),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_everyday_questions_are_answered(daemon: Daemon) -> None:
    """At least 90 % of at least 60 held-out wordings, greedily, in llama.cpp."""
    assert len(json.loads((PILOT / "everyday.json").read_text())["questions"]) >= 60
    done = evaluation(daemon, "everyday.json")
    assert done.returncode == 0, done.stdout


def test_the_bundled_file_is_the_export_of_the_weights(tmp_path: Path) -> None:
    assert exported(tmp_path / "pilot.gguf", "Q8_0").read_bytes() == BUNDLED.read_bytes()
    assert BUNDLED.stat().st_size <= 10_000_000


def test_llama_cpp_continues_as_transformers_does(daemon: Daemon) -> None:
    """`golden.json` holds transformers' greedy tokens; `models/pilot/compare.py` renews it."""
    golden: list[dict[str, Any]] = json.loads((PILOT / "golden.json").read_text())
    assert len(golden) >= 20
    client = openai.OpenAI(base_url=f"{daemon.url}/engines/v1", api_key="none", max_retries=0)
    for entry in golden:
        answer = client.completions.create(
            model="pilot:f16",
            prompt=entry["prompt"],
            max_tokens=60,
            temperature=0,
            logprobs=1,  # the only way to see token ids over this API
            extra_body={"cache_prompt": False},
        )
        said = answer.model_dump()["choices"][0]["logprobs"]["content"]
        tokens = [token["id"] for token in said]
        assert tokens[: len(entry["answer"])] == entry["answer"], entry["messages"]
