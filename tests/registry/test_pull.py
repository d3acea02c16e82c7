"""Pulling from a real registry through the Source protocol."""

import hashlib

import pytest
from tests.components.oci_registry import RunningRegistry, seed_model
from tests.registry.conftest import read

from stoker.base.errors import InvalidReference, ModelNotFound, RegistryError, Unreachable
from stoker.oci.descriptor import Descriptor
from stoker.oci.mediatypes import DOCKER_GGUF
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient

WEIGHTS = bytes(range(256)) * 2000


async def test_pulls_a_whole_model(
    registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    seeded = seed_model(registry.host, repository_name, WEIGHTS, tag="v1")
    repository = client.repository(parse_reference(f"{registry.host}/{repository_name}:v1"))
    found = await repository.resolve()
    assert found == seeded.descriptor
    for blob in seeded.manifest.blobs:
        assert await read(repository, blob) == (0, seeded.blobs[blob.digest])


async def test_resumes_where_it_is_asked_to(
    registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    seeded = seed_model(registry.host, repository_name, WEIGHTS)
    repository = client.repository(parse_reference(f"{registry.host}/{repository_name}"))
    layer = seeded.manifest.layers[0]
    assert await read(repository, layer, at=1000) == (1000, WEIGHTS[1000:])
    assert await read(repository, layer, at=len(WEIGHTS)) == (len(WEIGHTS), b"")
    async with repository.open(layer, at=10, length=5) as body:
        assert [chunk async for chunk in body] == [WEIGHTS[10:15]]


async def test_resolve_by_digest_and_the_manifest_is_held(
    registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    seeded = seed_model(registry.host, repository_name, WEIGHTS)
    repository = client.repository(parse_reference(f"{registry.host}/{repository_name}"))
    found = await repository.resolve(seeded.descriptor.digest)
    before = registry.log.read_text().count("GET")
    _, data = await read(repository, found)
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == found.digest
    assert registry.log.read_text().count("GET") == before


async def test_unknown_names(registry: RunningRegistry, client: RegistryClient) -> None:
    repository = client.repository(parse_reference(f"{registry.host}/tests/none:v9"))
    with pytest.raises(ModelNotFound, match=r"failed to pull model .*/tests/none:v9.* - Model not"):
        await repository.resolve()
    with pytest.raises(ModelNotFound):
        await repository.resolve("docker.io/ai/other:latest")
    with pytest.raises(InvalidReference):
        await repository.resolve("not a tag")


async def test_a_manifest_without_its_blob(
    registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    seed_model(registry.host, repository_name, WEIGHTS)
    repository = client.repository(parse_reference(f"{registry.host}/{repository_name}"))
    missing = Descriptor.of(b"never pushed", DOCKER_GGUF)
    with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
        await read(repository, missing)


async def test_nobody_listens(client: RegistryClient) -> None:
    repository = client.repository(parse_reference("127.0.0.1:1/tests/none"))
    with pytest.raises(
        Unreachable, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused"
    ) as caught:
        await repository.resolve()
    assert caught.value.origin == "127.0.0.1:1"
    assert caught.value.hint
