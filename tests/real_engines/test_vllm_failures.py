"""Models that the real vLLM refuses: one sentence that says why, and nothing is left running."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from tests.components.artifacts import put_safetensors
from tests.components.daemon import Daemon

ZEBRA = ["ZebraForCausalLM"]


def altered(**changes: Any) -> Callable[[Path], None]:
    """Other values in config.json."""

    def alter(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return alter


def cut(folder: Path) -> None:
    """A header that promises more than there is."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:6_000_000])


def without_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({"zebra": load_file(path)["model.norm.weight"]}, path, metadata={"format": "pt"})


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "architecture": (
        altered(architectures=ZEBRA), "vLLM does not know the architecture ZebraForCausalLM"
    ),
    "code": (
        altered(
            architectures=ZEBRA, model_type="zebra",
            auto_map={
                "AutoConfig": "configuration_zebra.ZebraConfig",
                "AutoModelForCausalLM": "modeling_zebra.ZebraForCausalLM",
            },
        ),
        "it needs Python code of its own, which runs only with your consent",
    ),
    "cut": (cut, "incomplete"),
    "other": (without_weights, "zebra"),
    "shape": (
        altered(intermediate_size=1024),
        "the weights do not have the shape that config.json says",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(vllm: Daemon, weights: Path, tmp_path: Path, kind: str) -> None:
    """As a stranger's registry may serve them: our own `package` accepts none that is cut."""
    change, words = REFUSED[kind]
    folder = Path(shutil.copytree(weights, tmp_path / "model"))
    change(folder)
    put_safetensors(vllm.home / "models", folder, f"docker.io/bad/{kind}:latest")
    before = set(vllm.engine_pids())
    done = vllm.cli("run", f"bad/{kind}", "hi", timeout=600)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert set(vllm.engine_pids()) <= before
