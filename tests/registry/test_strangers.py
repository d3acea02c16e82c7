"""Other people's tools: we read what they pushed, and they read what we pushed."""

import hashlib
import json
from pathlib import Path

import oras.client
import pytest
from tests.components.oci_registry import RunningRegistry, skopeo
from tests.registry.conftest import read
from tests.registry.test_push import push_model

from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Index, Manifest, index_bytes, manifest_bytes, parse_manifest
from stoker.oci.mediatypes import ANNOTATION_REF_NAME, DOCKER_CONFIG_V01, DOCKER_GGUF, OCI_MANIFEST
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient

WEIGHTS = hashlib.shake_256(b"strangers").digest(700_000)
CONFIG = b'{"config":{"format":"gguf"}}'


def layout(directory: Path) -> Manifest:
    """An OCI image layout with one model called `model`."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)
    config = Descriptor.of(CONFIG, DOCKER_CONFIG_V01)
    layer = Descriptor.of(WEIGHTS, DOCKER_GGUF)
    manifest = Manifest(config, (layer,))
    document = manifest_bytes(manifest)
    named = Descriptor(
        OCI_MANIFEST,
        Descriptor.of(document, OCI_MANIFEST).digest,
        len(document),
        {ANNOTATION_REF_NAME: "model"},
    )
    for data in (CONFIG, WEIGHTS, document):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (directory / "index.json").write_bytes(index_bytes(Index((named,))))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return manifest


async def test_skopeo_pushes_and_we_pull(
    registry: RunningRegistry, client: RegistryClient, repository_name: str, tmp_path: Path
) -> None:
    manifest = layout(tmp_path / "layout")
    target = f"{registry.host}/{repository_name}:v1"
    skopeo(
        tmp_path, "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:model",
        f"docker://{target}",
    )  # fmt: skip
    repository = client.repository(parse_reference(target))
    _, document = await read(repository, await repository.resolve())
    assert parse_manifest(document).blobs == manifest.blobs
    assert await read(repository, manifest.layers[0]) == (0, WEIGHTS)


async def test_we_push_and_skopeo_pulls(
    registry: RunningRegistry, client: RegistryClient, repository_name: str, tmp_path: Path
) -> None:
    target = f"{registry.host}/{repository_name}:v1"
    pushed = await push_model(client.repository(parse_reference(target)), WEIGHTS)
    raw = skopeo(tmp_path, "inspect", "--raw", "--tls-verify=false", f"docker://{target}")
    assert Descriptor.of(raw.encode(), OCI_MANIFEST) == pushed
    # skopeo checks every digest itself.
    skopeo(
        tmp_path, "copy", "--src-tls-verify=false", f"docker://{target}", f"dir:{tmp_path}/out"
    )  # fmt: skip
    assert (tmp_path / "out" / hashlib.sha256(WEIGHTS).hexdigest()).read_bytes() == WEIGHTS


def oras_client(host: str) -> oras.client.OrasClient:
    return oras.client.OrasClient(hostname=host, insecure=True)


async def test_oras_pushes_and_we_pull(
    registry: RunningRegistry, client: RegistryClient, repository_name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").write_bytes(WEIGHTS)
    (tmp_path / "config.json").write_bytes(CONFIG)
    target = f"{registry.host}/{repository_name}:v1"
    oras_client(registry.host).push(
        target=target,
        files=[f"model.gguf:{DOCKER_GGUF}"],
        manifest_config=f"config.json:{DOCKER_CONFIG_V01}",
    )
    repository = client.repository(parse_reference(target))
    _, document = await read(repository, await repository.resolve())
    (layer,) = parse_manifest(document).layers
    assert layer.media_type == DOCKER_GGUF
    assert await read(repository, layer) == (0, WEIGHTS)


async def test_we_push_and_oras_pulls(
    registry: RunningRegistry, client: RegistryClient, repository_name: str, tmp_path: Path
) -> None:
    target = f"{registry.host}/{repository_name}:v1"
    await push_model(client.repository(parse_reference(target)), WEIGHTS)
    manifest = oras_client(registry.host).get_manifest(target)
    (layer,) = manifest["layers"]
    assert (layer["mediaType"], layer["size"]) == (DOCKER_GGUF, len(WEIGHTS))
    blob = oras_client(registry.host).get_blob(target, layer["digest"])
    assert blob.content == WEIGHTS
    assert json.loads(json.dumps(manifest))["schemaVersion"] == 2
