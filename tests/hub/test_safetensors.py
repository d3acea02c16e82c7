"""A safetensors repository as a Source, end to end over HTTP."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from stoker.base.errors import Incomplete, ParseError
from stoker.formats.safetensorsfacts import CODE_WARNING
from stoker.hub import HubClient, HubSource
from stoker.oci import mediatypes as mt
from stoker.oci.manifest import Manifest, parse_manifest
from stoker.oci.modelconfig import ModelConfig, parse_config
from tests.components.hub import HubServer
from tests.hub.conftest import read

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "max_position_embeddings": 2048,
}


def shard(*names: str) -> bytes:
    return bytes(save({name: np.ones((8, 8), np.float16) for name in names}))


def sharded() -> dict[str, bytes]:
    first, second = (f"model-{n:05d}-of-00002.safetensors" for n in (1, 2))
    weight_map = {"model.layers.0.mlp.weight": first, "model.layers.1.mlp.weight": second}
    return {
        second: shard("model.layers.1.mlp.weight"),
        first: shard("model.layers.0.mlp.weight"),
        "model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode(),
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": b"{}" + b" " * 2000,
        "chat_template.jinja": b"{{ messages }}",
        "consolidated.safetensors": shard("all"),
        "original/model.safetensors": shard("all"),
        "modeling_llama.py": b"import os",
        "LICENSE.txt": b"free",
    }


async def described(source: HubSource) -> tuple[Manifest, ModelConfig]:
    manifest = parse_manifest((await read(source, await source.resolve()))[1])
    document = (await read(source, manifest.config))[1]
    return manifest, parse_config(document, manifest.config.media_type)


async def test_shards_and_what_goes_with_them(hub: HubClient, server: HubServer, name: str) -> None:
    files = sharded()
    server.add(name, files)
    source = await hub.repository(name)
    manifest, config = await described(source)
    assert manifest.config.media_type == mt.DOCKER_CONFIG_V02
    paths = [layer.annotations[mt.ANNOTATION_FILEPATH] for layer in manifest.layers]
    assert paths == [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "LICENSE.txt",
        "chat_template.jinja", "config.json", "model.safetensors.index.json", "tokenizer.json",
    ]  # fmt: skip
    for layer, path in zip(manifest.layers, paths, strict=True):
        assert (await read(source, layer))[1] == files[path]
    assert source.notes == (f"Found 7 files ({source.size / 2**20:.2f} MB total)",)
    assert config.format == "safetensors"
    assert (config.architecture, config.context_size) == ("llama", 2048)
    assert (config.quantization, config.parameters) == ("F16", "128.00")
    assert config.created == "2026-03-01T12:30:45Z"


async def test_small_files_are_fetched_once(hub: HubClient, server: HubServer, name: str) -> None:
    server.add(name, sharded())
    source = await hub.repository(name)
    manifest, _ = await described(source)
    for layer in manifest.layers:
        await read(source, layer)
    # The index once to choose and once to be hashed; weights twice, but the hub is asked once.
    assert server.count("/resolve/") == 2 + 5 + 1
    assert server.count("/blobs/", server="cdn") == 2 * 2


async def test_code_is_left_where_it_is(hub: HubClient, server: HubServer, name: str) -> None:
    config = {**CONFIG, "auto_map": {"AutoModel": "modeling_evil.EvilModel"}}
    server.add(
        name,
        {
            "model.safetensors": shard("model.layers.0.mlp.weight"),
            "config.json": json.dumps(config).encode(),
            "modeling_evil.py": b"raise SystemExit",
            "pytorch_model.bin": b"\x80\x02",
        },
    )
    source = await hub.repository(name)
    manifest, _ = await described(source)
    assert len(manifest.layers) == 2
    assert source.notes[-1] == CODE_WARNING
    assert not any(".py" in s.path or ".bin" in s.path for s in server.seen)


async def test_equal_files_are_one_content(hub: HubClient, server: HubServer, name: str) -> None:
    weights = shard("model.layers.0.mlp.weight")
    server.add(name, {"model.safetensors": weights, "a.json": b"{}", "b.json": b"{}"})
    manifest, config = await described(await hub.repository(name))
    assert manifest.layers[1].digest == manifest.layers[2].digest
    assert len(config.diff_ids) == 3


async def test_less_than_the_index_names(hub: HubClient, server: HubServer, name: str) -> None:
    """Said before a byte of the weights is pulled."""
    files = sharded()
    weight_map = json.loads(files["model.safetensors.index.json"])["weight_map"]
    weight_map["model.layers.1.mlp.bias"] = "model-00002-of-00002.safetensors"
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    server.add(name, files)
    with pytest.raises(Incomplete, match=r"that are not there: model\.layers\.1\.mlp\.bias in"):
        await (await hub.repository(name)).resolve()


async def test_a_bad_index(hub: HubClient, server: HubServer, name: str) -> None:
    index = json.dumps({"weight_map": {"w": "../../etc/passwd"}}).encode()
    server.add(name, {**sharded(), "model.safetensors.index.json": index})
    with pytest.raises(ParseError, match="is not a plain file name"):
        await hub.repository(name)
