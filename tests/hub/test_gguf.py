"""A GGUF repository as a Source, end to end over HTTP."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from stoker.base.errors import ModelNotFound, UnsupportedFormat
from stoker.hub import HubClient
from stoker.library.files import Role, files_of
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import parse_manifest
from stoker.oci.modelconfig import parse_config
from stoker.store import Store
from stoker.transfer import copy
from tests.components.hub import HubServer
from tests.hub.conftest import read


def small_gguf(path: Path, keys: dict[str, str | int]) -> bytes:
    """A header with these keys and one tensor."""
    writer = GGUFWriter(path, "llama")
    for key, value in keys.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_uint16(key, value)
    writer.add_tensor("blk.0.attn_q.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


async def test_a_repository_becomes_an_artifact(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    licence = b"Apache License 2.0"
    files = {
        "tiny-Q4_K_M.gguf": gguf,
        "tiny-Q8_0.gguf": b"another",
        "mmproj-tiny-f16.gguf": b"eyes",
        "chat_template.jinja": b"{{ messages }}",
        "LICENSE": licence,
        "README.md": b"# tiny",
        "evil.py": b"import os",
    }
    commit = server.add(name, files)
    source = await hub.repository(name)
    assert source.notes[0] == "Selected Q4_K_M quantization (default)"
    assert source.notes[1].startswith("Found 4 files (0.3")
    assert source.commit == commit
    root = await source.resolve(f"huggingface.co/{name.lower()}:latest")
    assert root.media_type == mt.OCI_MANIFEST
    offset, document = await read(source, root)
    manifest = parse_manifest(document)
    assert offset == 0
    assert Descriptor.of(document, mt.OCI_MANIFEST) == root
    assert [
        (layer.media_type, layer.annotations[mt.ANNOTATION_FILEPATH]) for layer in manifest.layers
    ] == [
        (mt.DOCKER_GGUF, "tiny-Q4_K_M.gguf"),
        (mt.DOCKER_MMPROJ, "mmproj-tiny-f16.gguf"),
        (mt.DOCKER_CHAT_TEMPLATE, "chat_template.jinja"),
        (mt.DOCKER_LICENSE, "LICENSE"),
    ]
    for layer in manifest.layers:
        _, data = await read(source, layer)
        assert data == files[layer.annotations[mt.ANNOTATION_FILEPATH]]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer.digest
    assert manifest.config.media_type == mt.DOCKER_CONFIG_V01
    _, document = await read(source, manifest.config)
    config = parse_config(document, manifest.config.media_type)
    assert (config.format, config.architecture, config.context_size) == ("gguf", "llama", 4096)
    assert config.created == "2026-03-01T12:30:45Z"
    assert config.diff_ids == tuple(layer.digest for layer in manifest.layers)


async def test_resolving_reads_headers_only(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"tiny.Q8_0.gguf": gguf})
    source = await hub.repository(name, selection="q8_0")
    assert source.notes[0] == "Selected Q8_0 quantization"
    await source.resolve()
    (asked,) = [seen.headers["range"] for seen in server.seen if seen.server == "cdn"]
    assert asked == "bytes=0-65535"


async def test_the_digest_is_the_commits(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    old = server.add(name, {"tiny-Q4_K_M.gguf": gguf, "LICENSE": b"one"})
    first = await (await hub.repository(name)).resolve()
    assert await (await hub.repository(name)).resolve() == first
    server.add(name, {"tiny-Q4_K_M.gguf": gguf, "LICENSE": b"two"})
    assert await (await hub.repository(name)).resolve() != first
    assert await (await hub.repository(name, revision=old)).resolve() == first


async def test_everything_comes_from_the_pinned_commit(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"tiny-Q4_K_M.gguf": gguf, "LICENSE": b"one"})
    source = await hub.repository(name)
    server.add(name, {"tiny-Q4_K_M.gguf": gguf[:-1], "LICENSE": b"two"})
    manifest = parse_manifest((await read(source, await source.resolve()))[1])
    contents = [(await read(source, layer))[1] for layer in manifest.layers]
    assert contents == [gguf, b"one"]


async def test_resumes_where_it_is_asked_to(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"tiny-Q4_K_M.gguf": gguf, "LICENSE": b"licence"})
    source = await hub.repository(name)
    weights, licence = parse_manifest((await read(source, await source.resolve()))[1]).layers
    assert await read(source, weights, at=1000) == (1000, gguf[1000:])
    assert await read(source, weights, at=len(gguf)) == (len(gguf), b"")
    assert await read(source, licence, at=2) == (2, b"cence")
    async with source.open(weights, at=10, length=5) as body:
        assert [chunk async for chunk in body] == [gguf[10:15]]


async def test_a_digest_pins(hub: HubClient, server: HubServer, name: str, gguf: bytes) -> None:
    server.add(name, {"tiny-Q4_K_M.gguf": gguf})
    source = await hub.repository(name)
    root = await source.resolve()
    assert await source.resolve(f"huggingface.co/org/tiny:latest@{root.digest}") == root
    with pytest.raises(ModelNotFound, match=r"is sha256:.*, not 'sha256:0000"):
        await source.resolve(f"huggingface.co/org/tiny:latest@sha256:{'0' * 64}")
    with pytest.raises(ModelNotFound, match="has no content"):
        await read(source, Descriptor.of(b"something else", mt.DOCKER_GGUF))


async def test_renamed_repositories(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"tiny-Q4_K_M.gguf": gguf})
    server.moved[f"old/{name[4:]}"] = name
    source = await hub.repository(f"old/{name[4:]}")
    await source.resolve()
    assert server.count("/tree/") == 1


async def test_an_adapter_is_no_model(
    hub: HubClient, server: HubServer, name: str, tmp_path: Path
) -> None:
    adapter = small_gguf(tmp_path / "lora.gguf", {"general.type": "adapter"})
    server.add(name, {"lora-F16.gguf": adapter})
    source = await hub.repository(name)
    with pytest.raises(UnsupportedFormat, match=r"'lora-F16.gguf' is only the adapter of a model"):
        await source.resolve()


async def test_shards_in_a_folder_reach_the_engine_side_by_side(
    hub: HubClient, server: HubServer, name: str, tmp_path: Path
) -> None:
    shards = [f"Q8_0/m-{n:05d}-of-00002.gguf" for n in (1, 2)]
    contents = [
        small_gguf(tmp_path / f"{n}.gguf", {"split.no": n, "split.count": 2}) for n in (0, 1)
    ]
    files = dict(zip(shards, contents, strict=True))
    server.add(name, {**files, "mmproj-F16.gguf": b"eyes"})
    source = await hub.repository(name, selection="Q8_0")
    store = Store.open(tmp_path / "models")
    root = await source.resolve()
    laid_out = files_of(await copy(source, store.blobs, root))
    names = [(file.path, file.descriptor) for file in laid_out if file.descriptor]
    view = store.view(root.digest, names)
    assert [(view / path).read_bytes() for path in shards] == contents
    assert [file.role for file in laid_out] == [Role.WEIGHTS, Role.WEIGHTS, Role.MMPROJ]
