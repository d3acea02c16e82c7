"""A GGUF repository as a Source, end to end over HTTP."""

import hashlib

import pytest

from stoker.base.errors import ModelNotFound
from stoker.hub import HubClient
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import parse_manifest
from stoker.oci.modelconfig import parse_config
from tests.components.hub import HubServer
from tests.hub.conftest import read


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
