"""Artifacts in the exact shapes that others write: what is shown of them, what an engine gets."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from stoker.api.views import native
from stoker.base.errors import StokerError
from stoker.library import Library
from stoker.oci import mediatypes as mt
from stoker.planner.spec import Format, ModelSpec
from stoker.store import Store
from tests.components.shapes import Layer, put_shape, tar_of

# Docker Model Runner's, with every key it has (facts on its config, 2025).
SMOLLM2: dict[str, Any] = {
    "config": {
        "format": "gguf",
        "quantization": "IQ2_XXS/Q4_K_M",
        "parameters": "361.82M",
        "architecture": "llama",
        "size": "256.35MiB",
        "gguf": {"general.architecture": "llama", "llama.context_length": "8192"},
        "context_size": 8192,
    },
    "descriptor": {"created": "2025-03-24T11:49:41.123456789Z"},
    "rootfs": {"type": "rootfs", "diff_ids": []},
}
SAFETENSORS: dict[str, Any] = {
    "config": {
        "format": "safetensors",
        "quantization": "BF16",
        "parameters": "494.03M",
        "architecture": "qwen2",
        "size": "988.10MB",
        "safetensors": {"tensor_count": "290"},
        "context_size": 32768,
    },
    "descriptor": {"created": "2025-10-01T00:00:00Z"},
    "rootfs": {"type": "rootfs", "diff_ids": []},
}
MODELPACK: dict[str, Any] = {
    "descriptor": {"createdAt": "2025-06-01T12:00:00Z", "name": "tiny", "family": "llama"},
    "modelfs": {"type": "layers", "diffIds": []},
    "config": {
        "architecture": "transformer",
        "format": "GGUF",
        "paramSize": "8b",
        "quantization": "Q4_0",
    },
}
WEIGHTS = b"GGUF weights"


class Model:
    """A stored artifact: how the API shows it, and its files."""

    def __init__(
        self, root: Path, layers: list[Layer], config: dict[str, Any], config_type: str
    ) -> None:
        artifact = mt.CNCF_ARTIFACT if config_type == mt.CNCF_CONFIG else None
        self.store = Store.open(root / "models")
        self.library = Library(self.store)
        self.root = put_shape(
            self.store,
            "docker.io/ai/m:latest",
            layers,
            config,
            config_type=config_type,
            artifact_type=artifact,
        )

    @property
    def shown(self) -> dict[str, Any]:
        return native(self.library.find("m")).config

    def resolve(self) -> ModelSpec:
        return asyncio.run(self.library.resolve("m"))

    def files(self) -> dict[str, bytes]:
        spec = self.resolve()
        places = (spec.weights, *spec.weights.parents)
        view = next(path for path in places if path.name == "model" and path.is_dir())
        return {
            path.relative_to(view).as_posix(): path.read_bytes()
            for path in view.rglob("*")
            if path.is_file()
        }


def docker(root: Path, *layers: Layer, config: dict[str, Any] | None = None) -> Model:
    return Model(root, list(layers), config or SMOLLM2, mt.DOCKER_CONFIG_V01)


def per_file(root: Path, *layers: Layer) -> Model:
    return Model(root, list(layers), SAFETENSORS, mt.DOCKER_CONFIG_V02)


def modelpack(root: Path, *layers: Layer, config: dict[str, Any] | None = None) -> Model:
    return Model(root, list(layers), config or MODELPACK, mt.CNCF_CONFIG)


def test_one_gguf(tmp_path: Path) -> None:
    model = docker(tmp_path, Layer(mt.DOCKER_GGUF, WEIGHTS))
    assert model.shown == SMOLLM2["config"]
    assert native(model.library.find("m")).created == 1742816981
    assert model.files() == {"model.gguf": WEIGHTS}
    spec = model.resolve()
    assert (spec.format, spec.context_size, spec.architecture) == (Format.GGUF, 8192, "llama")


def test_gguf_shards_without_names_and_all_extras(tmp_path: Path) -> None:
    model = docker(
        tmp_path,
        Layer(mt.DOCKER_GGUF, b"one"),
        Layer(mt.DOCKER_GGUF, b"two"),
        Layer(mt.DOCKER_LICENSE, b"license one"),
        Layer(mt.DOCKER_LICENSE, b"license two"),
        Layer(mt.DOCKER_MMPROJ, b"projector"),
        Layer(mt.DOCKER_CHAT_TEMPLATE, b"{{ messages }}"),
    )
    assert model.files() == {
        "model-00001-of-00002.gguf": b"one",
        "model-00002-of-00002.gguf": b"two",
        "LICENSE": b"license one",
        "LICENSE.2": b"license two",
        "model.mmproj": b"projector",
        "template.jinja": b"{{ messages }}",
    }
    spec = model.resolve()
    assert spec.weights.name == "model-00001-of-00002.gguf"
    assert spec.weights_size == 6
    assert spec.mmproj is not None
    assert spec.chat_template is not None
    assert (spec.mmproj.name, spec.chat_template.name) == ("model.mmproj", "template.jinja")


def test_two_equal_shards_are_two_files(tmp_path: Path) -> None:
    model = docker(tmp_path, Layer(mt.DOCKER_GGUF, b"x"), Layer(mt.DOCKER_GGUF, b"x"))
    assert set(model.files()) == {"model-00001-of-00002.gguf", "model-00002-of-00002.gguf"}


def test_names_of_the_artifact_are_kept(tmp_path: Path) -> None:
    model = docker(
        tmp_path,
        Layer(mt.DOCKER_GGUF, b"two", "big-00002-of-00002.gguf"),
        Layer(mt.DOCKER_GGUF, b"one", "big-00001-of-00002.gguf"),
        Layer(mt.DOCKER_GGUF, b"projector", "mmproj-f16.gguf"),
    )
    spec = model.resolve()
    assert spec.weights.read_bytes() == b"one"
    assert spec.mmproj is not None
    assert spec.mmproj.name == "mmproj-f16.gguf"


def test_safetensors_with_the_tar_of_vllm(tmp_path: Path) -> None:
    tar = tar_of({"config.json": b"{}", "./tokenizer.json": b"[]", "sub/vocab.txt": b"v"})
    model = docker(
        tmp_path,
        Layer(mt.DOCKER_SAFETENSORS, b"one"),
        Layer(mt.DOCKER_SAFETENSORS, b"two"),
        Layer(mt.DOCKER_VLLM_CONFIG_TAR, tar),
        config=SAFETENSORS,
    )
    assert model.files() == {
        "model-00001-of-00002.safetensors": b"one",
        "model-00002-of-00002.safetensors": b"two",
        "config.json": b"{}",
        "tokenizer.json": b"[]",
        "sub/vocab.txt": b"v",
    }
    spec = model.resolve()
    assert spec.format is Format.SAFETENSORS
    assert spec.weights.name == "model"
    assert spec.weights_size == 6


def test_a_directory_tar_beside_a_gguf(tmp_path: Path) -> None:
    model = docker(
        tmp_path,
        Layer(mt.DOCKER_GGUF, WEIGHTS),
        Layer(mt.DOCKER_DIR_TAR, tar_of({"docs/a.md": b"a"})),
        Layer(mt.DOCKER_DIR_TAR, tar_of({"docs/b.md": b"b", "run.py": b"import os"})),
    )
    assert model.files() == {"model.gguf": WEIGHTS, "docs/a.md": b"a", "docs/b.md": b"b"}


def test_a_dduf(tmp_path: Path) -> None:
    config = {"config": {"format": "dduf", "architecture": "diffusers"}}
    model = docker(tmp_path, Layer(mt.DOCKER_DDUF, b"PK", "flux.dduf"), config=config)
    assert model.resolve().format is Format.DDUF
    assert model.resolve().weights.name == "flux.dduf"
    assert model.shown["architecture"] == "diffusers"


def test_one_layer_a_file(tmp_path: Path) -> None:
    model = per_file(
        tmp_path,
        Layer(mt.DOCKER_MODEL_FILE, b"{}", "config.json"),
        Layer(mt.DOCKER_CHAT_TEMPLATE, b"{{ x }}", "chat_template.jinja"),
        Layer(mt.DOCKER_CHAT_TEMPLATE, b"{}", "chat_template.json"),
        Layer(mt.DOCKER_LICENSE, b"mine", "LICENSE"),
        Layer(mt.DOCKER_SAFETENSORS, b"weights", "model.safetensors"),
        Layer(mt.DOCKER_MODEL_FILE, b"import os", "modeling_x.py"),
        Layer(mt.DOCKER_MODEL_FILE, b"\x80", "pytorch_model.bin"),
        Layer(mt.DOCKER_MODEL_FILE, b"v", "tokenizer/vocab.txt"),
    )
    assert model.shown == SAFETENSORS["config"]
    assert set(model.files()) == {
        "config.json",
        "chat_template.jinja",
        "chat_template.json",
        "LICENSE",
        "model.safetensors",
        "tokenizer/vocab.txt",
    }, "neither code nor pickles"
    spec = model.resolve()
    assert spec.chat_template is not None
    assert spec.chat_template.name == "chat_template.jinja"


@pytest.mark.parametrize("kind", [mt.CNCF_WEIGHT_RAW, mt.CNCF_WEIGHT_GGUF])
def test_modelpack_with_a_gguf(tmp_path: Path, kind: str) -> None:
    model = modelpack(
        tmp_path,
        Layer(kind, WEIGHTS, "tiny.gguf"),
        Layer(mt.CNCF_WEIGHT_RAW, b"projector", "mmproj-tiny.gguf"),
        Layer(mt.CNCF_WEIGHT_CONFIG_RAW, b"{{ x }}", "chat_template.jinja"),
        Layer(mt.CNCF_DOC_RAW, b"mine", "LICENSE"),
        Layer("application/vnd.cncf.model.code.v1.raw", b"import os", "run"),
        Layer("application/vnd.cncf.model.dataset.v1.tar", b"not even a tar", "data"),
    )
    # Docker Model Runner's values: paramSize is both parameters and size, and no maps.
    assert model.shown == {
        "format": "gguf",
        "architecture": "transformer",
        "quantization": "Q4_0",
        "parameters": "8b",
        "size": "8b",
    }
    assert native(model.library.find("m")).created == 1748779200
    assert set(model.files()) == {
        "tiny.gguf", "mmproj-tiny.gguf", "chat_template.jinja", "LICENSE",
    }  # fmt: skip
    assert model.resolve().weights.name == "tiny.gguf"
    assert model.resolve().weights_size == len(WEIGHTS)


def test_modelpack_that_does_not_say_its_format(tmp_path: Path) -> None:
    config = {**MODELPACK, "config": {"paramSize": "8b"}}
    model = modelpack(tmp_path, Layer(mt.CNCF_WEIGHT_RAW, b"w", "model.safetensors"), config=config)
    assert model.shown["format"] == "safetensors"
    assert model.resolve().format is Format.SAFETENSORS


def test_old_modelpack_without_names(tmp_path: Path) -> None:
    model = modelpack(tmp_path, Layer(mt.CNCF_WEIGHT_SAFETENSORS, b"w"))
    assert model.files() == {"model.safetensors": b"w"}


@pytest.mark.parametrize("suffix", ["tar", "tar+gzip"])
def test_modelpack_in_tars(tmp_path: Path, suffix: str) -> None:
    weights, config = tar_of({"tiny.gguf": WEIGHTS}), tar_of({"chat_template.jinja": b"{{ x }}"})
    if suffix == "tar+gzip":
        weights, config = gzip.compress(weights), gzip.compress(config)
    model = modelpack(
        tmp_path,
        Layer(f"application/vnd.cncf.model.weight.v1.{suffix}", weights, "weights"),
        Layer(f"application/vnd.cncf.model.weight.config.v1.{suffix}", config),
    )
    assert model.files() == {"tiny.gguf": WEIGHTS, "chat_template.jinja": b"{{ x }}"}
    spec = model.resolve()
    assert spec.weights_size == len(WEIGHTS)
    assert spec.chat_template is not None
    # A second library finds the view that is there.
    again = asyncio.run(Library(model.store).resolve("m"))
    assert again == spec


def test_zstandard_is_refused_with_a_word(tmp_path: Path) -> None:
    kind = "application/vnd.cncf.model.weight.v1.tar+zstd"
    model = modelpack(tmp_path, Layer(kind, b"\x28\xb5\x2f\xfd"))
    with pytest.raises(StokerError, match="compressed with 'zstd'"):
        model.resolve()


def test_a_config_of_the_specification_document(tmp_path: Path) -> None:
    """`createdAt` and `files`, as docker/model-spec has them and no program writes them."""
    config = {
        "config": {"format": "gguf", "parameters": "1B", "format_version": "3"},
        "descriptor": {"createdAt": "2025-01-01T00:00:00Z"},
        "files": [{"diffID": "sha256:" + "0" * 64, "type": mt.DOCKER_GGUF}],
    }
    model = docker(tmp_path, Layer(mt.DOCKER_GGUF, WEIGHTS), config=config)
    shown = native(model.library.find("m"))
    assert shown.created == 1735689600
    assert shown.config["parameters"] == "1B"


def test_a_model_without_weights(tmp_path: Path) -> None:
    model = docker(tmp_path, Layer(mt.DOCKER_LICENSE, b"mine"))
    with pytest.raises(StokerError, match="no weights"):
        model.resolve()
    assert model.shown["format"] == "gguf"


def test_configs_of_other_things_are_not_listed(tmp_path: Path) -> None:
    model = docker(tmp_path, Layer(mt.DOCKER_GGUF, WEIGHTS))
    put_shape(
        model.store,
        "docker.io/library/alpine:latest",
        [Layer("application/vnd.oci.image.layer.v1.tar", b"x")],
        {"os": "linux"},
        config_type="application/vnd.oci.image.config.v1+json",
    )
    assert [m.name for m in model.library.models()] == ["docker.io/ai/m:latest"]
    assert json.loads(json.dumps(model.shown))
