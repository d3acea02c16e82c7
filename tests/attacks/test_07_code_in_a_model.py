"""Row 7: a model that brings Python along, and a config.json that asks for it to be run.

None of it is, unless somebody has consented to the digest of that model.
"""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting
from stoker.engines.spec import Command
from stoker.engines.vllm import Vllm
from stoker.library import Library
from stoker.library.consents import Consents
from stoker.oci import mediatypes as mt
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from stoker.store import Store
from tests.components.shapes import Layer, put_shape, tar_of

# Whoever runs it leaves a trace.
MARKER = b"from pathlib import Path; Path(__file__).with_name('it-ran').touch()"
CONFIG = {"config": {"format": "safetensors"}}
ASKS = json.dumps({"auto_map": {"AutoModel": "modeling_evil.Evil"}, "model_type": "evil"}).encode()


LAYERS = [
    Layer(mt.DOCKER_SAFETENSORS, b"\x02\0\0\0\0\0\0\0{}", "model.safetensors"),
    Layer(mt.DOCKER_MODEL_FILE, ASKS, "config.json"),
    Layer(mt.DOCKER_MODEL_FILE, MARKER, "modeling_evil.py"),
    Layer(mt.DOCKER_MODEL_FILE, MARKER, "deep/er/code.PY"),
    Layer(mt.DOCKER_MODEL_FILE, b"cos\nsystem\n", "pytorch_model.bin"),
    Layer(mt.DOCKER_MODEL_FILE, b"\x7fELF", "helper.so"),
    Layer(mt.DOCKER_DIR_TAR, tar_of({"more/code.py": MARKER, "vocab.txt": b"a"})),
]
NAME = "docker.io/ai/evil:latest"
DATA = {"model.safetensors", "config.json", "vocab.txt"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "models")
    put_shape(store, NAME, LAYERS, CONFIG)
    return store


@pytest.fixture
def model(store: Store) -> ModelSpec:
    return asyncio.run(Library(store).resolve("evil"))


def names_of(model: ModelSpec) -> set[str]:
    return {path.name for path in model.weights.rglob("*") if path.is_file()}


def told(model: ModelSpec) -> Command:
    engine = Vllm({}, python=Path("/opt/vllm/bin/python"))
    return engine.command(model, Mode.COMPLETION, RunSettings(), Path("/run/e/e.sock"))


def test_none_of_it_is_laid_out(model: ModelSpec) -> None:
    assert names_of(model) == DATA


def test_no_engine_is_told_to_run_it(model: ModelSpec) -> None:
    assert "remote" not in " ".join(told(model).argv)
    assert told(model).home == ""


def test_consent_is_for_these_bytes_and_lays_out_python_only(store: Store, tmp_path: Path) -> None:
    consents = Consents(tmp_path / "consents.json")
    library = Library(store, consents=consents)
    before = asyncio.run(library.resolve("evil"))
    consents.give(before.id)
    trusted = asyncio.run(library.resolve("evil"))
    assert names_of(trusted) == DATA | {"modeling_evil.py", "code.PY"}
    assert names_of(before) == DATA
    assert told(trusted).argv.count("--trust-remote-code") == 1
    # What its code leaves at home must not be found by models that bring none.
    assert told(trusted).home == f"vllm-{before.id[7:19]}"
    other = [*LAYERS, Layer(mt.DOCKER_MODEL_FILE, b"{}", "tokenizer.json")]
    put_shape(store, NAME, other, CONFIG)
    moved = asyncio.run(library.resolve("evil"))
    assert moved.id != before.id
    assert names_of(moved) == DATA | {"tokenizer.json"}
    assert "--trust-remote-code" not in told(moved).argv


def test_a_consent_taken_back_takes_the_code_away(store: Store, tmp_path: Path) -> None:
    consents = Consents(tmp_path / "consents.json")
    library = Library(store, consents=consents)
    consents.give(library.find("evil").id)
    trusted = asyncio.run(library.resolve("evil"))
    store.gc()
    assert asyncio.run(library.resolve("evil")) == trusted
    assert trusted.weights.exists()
    consents.withdraw(trusted.id)
    store.drop_code(trusted.id)
    assert not trusted.weights.exists()
    again = asyncio.run(library.resolve("evil"))
    assert names_of(again) == DATA
    assert "--trust-remote-code" not in told(again).argv


async def test_nobody_goes_by_what_was_found_out_before(store: Store, tmp_path: Path) -> None:
    """A request that sees an engine does not look again what a name means."""
    os.utime(store.root / "index.json", (1, 1))  # one that was just written is read again
    consents = Consents(tmp_path / "consents.json")
    library = Library(store, consents=consents)
    plain = await library.resolve("evil")
    assert library.resolved("evil") == plain
    consents.give(plain.id)
    assert library.resolved("evil") is None
    trusted = await library.resolve("evil")
    assert library.resolved("evil") == trusted
    assert trusted.trusted
    consents.withdraw(plain.id)
    assert library.resolved("evil") is None


def test_collection_takes_both_views_of_a_model_that_is_gone(store: Store, tmp_path: Path) -> None:
    consents = Consents(tmp_path / "consents.json")
    library = Library(store, consents=consents)
    plain = asyncio.run(library.resolve("evil"))
    consents.give(plain.id)
    trusted = asyncio.run(library.resolve("evil"))
    library.remove("evil")
    assert not plain.weights.exists()
    assert not trusted.weights.exists()


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
    for one in (model, replace(model, trusted=True)):
        with pytest.raises(InvalidSetting):
            engine.command(one, Mode.COMPLETION, settings, Path("/run/e/e.sock"))
