"""Registry to registry through `transfer.copy`, over a line that breaks all the time."""

import random

import pytest
from tests.components.faults import (
    Answer,
    CutRequest,
    CutResponse,
    Fault,
    FaultProxy,
    IgnoreRange,
    LoseAnswer,
    fault_proxy,
    rate_limited,
    wrong_content_range,
)
from tests.components.oci_registry import RunningRegistry, seed_model
from tests.registry.conftest import CHUNK, read

from stoker.base.errors import RemoteError
from stoker.oci.mediatypes import DOCKER_GGUF, DOCKER_LICENSE, DOCKER_MMPROJ
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient
from stoker.transfer import Patience, copy

LAYERS = {
    DOCKER_GGUF: random.Random(1).randbytes(CHUNK * 6 + 77),
    DOCKER_MMPROJ: random.Random(2).randbytes(CHUNK * 2),
    DOCKER_LICENSE: b"do what you like",
}
QUICK = Patience(attempts=8, base=0.01, cap=0.02)


def reading(chance: random.Random) -> list[tuple[str, str, Fault]]:
    faults: list[Fault] = [
        CutResponse(chance.randrange(CHUNK * 6)), LoseAnswer(), Answer(502), rate_limited("0"),
        IgnoreRange(), wrong_content_range(7), Answer(416),
    ]  # fmt: skip
    return [("GET", "/blobs/sha256", chance.choice(faults)) for _ in range(6)]


def writing(chance: random.Random) -> list[tuple[str, str, Fault]]:
    faults: list[Fault] = [
        CutRequest(chance.randrange(CHUNK)), LoseAnswer(), Answer(503), rate_limited("0"),
        Answer(416), Answer(404),
    ]  # fmt: skip
    methods = [chance.choice(["POST", "PATCH", "PATCH", "PUT", "GET"]) for _ in range(6)]
    return [(method, "/uploads/", chance.choice(faults)) for method in methods]


@pytest.mark.parametrize("seed", range(8))
async def test_any_faults_end_in_a_whole_model_or_an_error(
    registry: RunningRegistry, client: RegistryClient, repository_name: str, seed: int
) -> None:
    chance = random.Random(seed)
    seeded = seed_model(registry.host, repository_name, LAYERS)
    async with fault_proxy(registry.host) as there, fault_proxy(registry.host) as here:
        source = client.repository(parse_reference(f"{there.host}/{repository_name}"))
        sink = client.repository(parse_reference(f"{here.host}/{repository_name}-copy"))
        for proxy, faults in ((there, reading(chance)), (here, writing(chance))):
            for method, part, fault in faults:
                proxy.on(method, part, fault)
        for _ in range(6):
            try:
                await copy(source, sink, await source.resolve(), patience=QUICK)
            except RemoteError:
                continue  # as `stoker push` once more would
            break
        assert await sink.resolve() == seeded.descriptor
        for blob in seeded.manifest.blobs:
            assert await read(sink, blob) == (0, seeded.blobs[blob.digest])


async def test_a_copy_within_one_registry_moves_no_bytes(
    proxy: FaultProxy, registry: RunningRegistry, client: RegistryClient, repository_name: str
) -> None:
    seeded = seed_model(registry.host, repository_name, LAYERS)
    source = client.repository(parse_reference(f"{proxy.host}/{repository_name}"))
    for blob in seeded.manifest.blobs:
        await read(source, blob)  # what has been read can be mounted
    proxy.seen.clear()
    sink = client.repository(parse_reference(f"{proxy.host}/{repository_name}-copy:v2"))
    await copy(source, sink, await source.resolve())
    assert proxy.count("PATCH") == 0
    assert max(seen.body_size for seen in proxy.seen if seen.method != "PUT") == 0
    assert await sink.resolve() == seeded.descriptor
