"""Row 7: a model that brings Python along, and a config.json that asks for it to be run."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting
from stoker.engines.vllm import Vllm
from stoker.library import Library
from stoker.oci import mediatypes as mt
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from stoker.store import Store
from tests.components.shapes import Layer, put_shape, tar_of

# Whoever runs it leaves a trace.
MARKER = b"from pathlib import Path; Path(__file__).with_name('it-ran').touch()"
ASKS = json.dumps({"auto_map": {"AutoModel": "modeling_evil.Evil"}, "model_type": "evil"}).encode()


@pytest.fixture
def model(tmp_path: Path) -> ModelSpec:
    layers = [
        Layer(mt.DOCKER_SAFETENSORS, b"\x02\0\0\0\0\0\0\0{}", "model.safetensors"),
        Layer(mt.DOCKER_MODEL_FILE, ASKS, "config.json"),
        Layer(mt.DOCKER_MODEL_FILE, MARKER, "modeling_evil.py"),
        Layer(mt.DOCKER_MODEL_FILE, MARKER, "deep/er/code.PY"),
        Layer(mt.DOCKER_MODEL_FILE, b"cos\nsystem\n", "pytorch_model.bin"),
        Layer(mt.DOCKER_MODEL_FILE, b"\x7fELF", "helper.so"),
        Layer(mt.DOCKER_DIR_TAR, tar_of({"more/code.py": MARKER, "vocab.txt": b"a"})),
    ]
    store = Store.open(tmp_path / "models")
    put_shape(store, "docker.io/ai/evil:latest", layers, {"config": {"format": "safetensors"}})
    return asyncio.run(Library(store).resolve("evil"))


def test_none_of_it_is_laid_out(model: ModelSpec) -> None:
    names = {path.name for path in model.weights.rglob("*") if path.is_file()}
    assert names == {"model.safetensors", "config.json", "vocab.txt"}


def test_no_engine_is_told_to_run_it(model: ModelSpec) -> None:
    engine = Vllm({}, python=Path("/opt/vllm/bin/python"))
    command = engine.command(model, Mode.COMPLETION, RunSettings(), Path("/run/e/e.sock"))
    assert "remote" not in " ".join(command.argv)


@pytest.mark.parametrize(
    "settings",
    [
        RunSettings(runtime_flags=("--trust-remote-code",)),
        RunSettings(runtime_flags=("--trust_remote_code=true",)),
        RunSettings(runtime_flags=("--trust-remote",)),
        RunSettings(runtime_flags=("--seed", "1", "--hf-overrides", "{}")),
        RunSettings(hf_overrides={"auto_map": {"AutoModel": "x.Y"}}),
        RunSettings(hf_overrides={"text_config": [{"trust_remote_code": True}]}),
    ],
    ids=str,
)
def test_nobody_can_ask_for_it_by_the_way(model: ModelSpec, settings: RunSettings) -> None:
    engine = Vllm({}, python=Path("/opt/vllm/bin/python"))
    with pytest.raises(InvalidSetting):
        engine.command(replace(model), Mode.COMPLETION, settings, Path("/run/e/e.sock"))
