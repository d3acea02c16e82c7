"""Pushing to a real registry through the Sink protocol, also through a proxy that breaks things."""

import contextlib
import hashlib

import pytest
from tests.components.faults import Answer, Change, CutRequest, FaultProxy, LoseAnswer
from tests.components.oci_registry import RunningRegistry
from tests.registry.conftest import CHUNK, read

from stoker.base.errors import DigestMismatch, ModelNotFound, RemoteError, SizeMismatch, Unreachable
from stoker.oci.content import Ingest, Sink
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.mediatypes import DOCKER_CONFIG_V01, DOCKER_GGUF, OCI_MANIFEST
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient
from stoker.registry.repository import Repository

LARGE = bytes(hashlib.shake_256(b"weights").digest(CHUNK * 5 + 123))
SMALL = b"a licence"


def at(client: RegistryClient, host: str, name: str, tag: str = "latest") -> Repository:
    return client.repository(parse_reference(f"{host}/{name}:{tag}"))


async def put_as(sink: Sink, descriptor: Descriptor, data: bytes) -> None:
    async with sink.ingest(descriptor) as into:
        for start in range(into.offset, len(data), 100_000):
            await into.write(data[start : start + 100_000])
        await into.commit()


async def put(sink: Sink, data: bytes, media_type: str = DOCKER_GGUF) -> Descriptor:
    descriptor = Descriptor.of(data, media_type)
    await put_as(sink, descriptor, data)
    return descriptor


async def push_model(sink: Sink, *layers: bytes) -> Descriptor:
    config = await put(sink, b'{"config":{"format":"gguf"}}', DOCKER_CONFIG_V01)
    described = tuple([await put(sink, layer) for layer in layers])
    return await put(sink, manifest_bytes(Manifest(config, described)), OCI_MANIFEST)


async def test_what_is_pushed_can_be_pulled(
    registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, registry.host, repository_name, "v1")
    manifest = await push_model(repository, LARGE, SMALL, b"")
    assert await repository.resolve("v1") == manifest
    for data in (LARGE, SMALL, b""):
        descriptor = Descriptor.of(data, DOCKER_GGUF)
        assert await repository.exists(descriptor)
        assert await read(repository, descriptor) == (0, data)


async def test_exists(
    registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, registry.host, repository_name, "a")
    assert not await repository.exists(Descriptor.of(SMALL, DOCKER_GGUF))
    manifest = await push_model(repository, SMALL)
    assert await repository.exists(manifest)
    # The same manifest under another tag is still to be pushed: that is what sets the tag.
    other = at(client, registry.host, repository_name, "b")
    assert not await other.exists(manifest)


async def test_small_content_takes_two_requests_and_large_goes_in_chunks(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    await put(repository, SMALL)
    assert [seen.method for seen in proxy.seen] == ["POST", "PUT"]
    proxy.seen.clear()
    await put(repository, LARGE)
    assert [seen.method for seen in proxy.seen] == ["POST", *["PATCH"] * 6, "PUT"]
    assert {seen.body_size for seen in proxy.seen} == {0, CHUNK, 123}


async def test_wrong_bytes_are_never_published(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    for data in (SMALL, LARGE):
        descriptor = Descriptor.of(data, DOCKER_GGUF)
        with pytest.raises(DigestMismatch):
            await put_as(repository, descriptor, b"X" + data[1:])
        for wrong in (data[:-1], data + b"X"):
            with pytest.raises(SizeMismatch):
                await put_as(repository, descriptor, wrong)
        assert not await repository.exists(descriptor)
    with pytest.raises(DigestMismatch):
        await put_as(repository, Descriptor.of(b"{}", OCI_MANIFEST), b"[]")
    assert proxy.count("PUT") == 0


async def test_a_second_push_resumes_what_the_first_left(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)
    async with repository.ingest(descriptor) as into:
        await into.write(LARGE[: CHUNK * 3 + 7])
        assert into.offset == CHUNK * 3 + 7
    proxy.seen.clear()
    # Another Repository object: sessions belong to the client.
    again = at(client, proxy.host, repository_name)
    async with again.ingest(descriptor) as into:
        assert into.offset == CHUNK * 3
        await into.write(LARGE[into.offset :])
        await into.commit()
    assert [seen.method for seen in proxy.seen] == ["GET", "PATCH", "PATCH", "PATCH", "PUT"]
    assert await read(repository, descriptor) == (0, LARGE)


async def test_a_session_that_the_registry_forgot_starts_over(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)
    async with repository.ingest(descriptor) as into:
        await into.write(LARGE[: CHUNK * 3])
    proxy.on("GET", "/uploads/", Answer(404))
    await put(repository, LARGE)
    assert await read(repository, descriptor) == (0, LARGE)


async def test_row_3_what_only_the_registry_can_check_it_checks(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    """A session whose bytes we did not all see: the registry computes the digest."""
    repository = at(client, proxy.host, repository_name)
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)
    async with repository.ingest(descriptor) as into:
        await into.write(b"Y" * (CHUNK * 3))
    for session in client._book._sessions.values():
        session.hasher = None
    with pytest.raises(DigestMismatch, match="another digest than ours"):
        await put(repository, LARGE)
    await put(repository, LARGE)  # does not stumble over the bad session again
    assert await read(repository, descriptor) == (0, LARGE)


async def test_a_registry_that_counts_differently_starts_over(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    proxy.on("PATCH", "/uploads/", Change(lambda reply: reply.with_header("Range", "0-9999999")))
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)

    async def stumble(into: Ingest) -> None:
        with pytest.raises(Unreachable, match="starts over"):
            await into.write(LARGE)
        assert into.offset == 0

    async with repository.ingest(descriptor) as into:
        await stumble(into)
        await into.write(LARGE)
        await into.commit()
    assert await read(repository, descriptor) == (0, LARGE)


async def test_restart_forgets_everything(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)
    async with repository.ingest(descriptor) as into:
        await into.write(b"Y" * (CHUNK * 2))
        await into.restart()
        assert into.offset == 0
        await into.write(LARGE)
        await into.commit()
    assert proxy.count("DELETE") == 1
    assert await read(repository, descriptor) == (0, LARGE)


@pytest.mark.parametrize("after", [0, 1, CHUNK // 2])
@pytest.mark.parametrize("data", [SMALL * 10_000, LARGE], ids=["small", "large"])
async def test_a_cut_in_the_first_request_is_mended(
    proxy: FaultProxy, client: RegistryClient, repository_name: str, data: bytes, after: int
) -> None:
    repository = at(client, proxy.host, repository_name)
    proxy.on("PUT", "/uploads/", CutRequest(after))
    proxy.on("PATCH", "/uploads/", CutRequest(after))
    descriptor = await put(repository, data)
    assert await read(repository, descriptor) == (0, data)


async def test_a_cut_in_a_later_chunk_resumes_or_fails_and_never_corrupts(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)
    with contextlib.suppress(RemoteError, ModelNotFound):
        async with repository.ingest(descriptor) as into:
            await into.write(LARGE[: CHUNK * 2 + 1])
            proxy.on("PATCH", "/uploads/", CutRequest(1000))
            await into.write(LARGE[CHUNK * 2 + 1 :])
            await into.commit()
    if not await repository.exists(descriptor):
        await put(repository, LARGE)
    assert await read(repository, descriptor) == (0, LARGE)


async def test_a_lost_answer_to_the_closing_request_is_no_failure(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    """The registry did its work; only its answer did not arrive."""
    repository = at(client, proxy.host, repository_name)
    proxy.on("PUT", "/uploads/", LoseAnswer(), times=2)
    proxy.on("PATCH", "/uploads/", LoseAnswer())
    for data in (SMALL, LARGE):
        descriptor = await put(repository, data)
        assert await read(repository, descriptor) == (0, data)
    # A PUT with content is not repeated before asking whether the blob is there; an empty one is.
    assert proxy.count("PUT") == 3


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_registry_that_stumbles(
    proxy: FaultProxy, client: RegistryClient, repository_name: str, status: int
) -> None:
    repository = at(client, proxy.host, repository_name)
    for method, part in (("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/manifests/")):
        proxy.on(method, part, Answer(status, {"Retry-After": "0"}))
    proxy.on("PUT", "/uploads/", Answer(status, {"Retry-After": "0"}))
    manifest = await push_model(repository, LARGE)
    assert await repository.resolve() == manifest


async def test_a_registry_that_stays_down(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    repository = at(client, proxy.host, repository_name)
    proxy.on("PATCH", "/uploads/", Answer(503), times=100)
    with pytest.raises(RemoteError, match="503"):
        await put(repository, LARGE)
    assert proxy.count("PATCH") < 20


async def test_mount_from_another_repository(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    first = at(client, proxy.host, repository_name)
    descriptor = await put(first, LARGE)
    second = at(client, proxy.host, f"{repository_name}-copy")
    assert await second.mount(descriptor, repository_name)
    assert await read(second, descriptor) == (0, LARGE)
    missing = Descriptor.of(b"nowhere", DOCKER_GGUF)
    assert not await second.mount(missing, repository_name)


async def test_a_blob_known_to_be_elsewhere_is_mounted_by_itself(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    await put(at(client, proxy.host, repository_name), LARGE)
    proxy.seen.clear()
    other = at(client, proxy.host, f"{repository_name}-copy")
    descriptor = Descriptor.of(LARGE, DOCKER_GGUF)
    async with other.ingest(descriptor) as into:
        assert into.offset == len(LARGE)
        await into.commit()
    assert [seen.method for seen in proxy.seen] == ["POST"]
    assert await other.exists(descriptor)


async def test_two_writers_of_one_blob_send_it_once(
    proxy: FaultProxy, client: RegistryClient, repository_name: str
) -> None:
    import asyncio

    repository = at(client, proxy.host, repository_name)
    async with asyncio.TaskGroup() as group:
        group.create_task(put(repository, SMALL))
        group.create_task(put(repository, SMALL))
    assert proxy.count("PUT") == 1
