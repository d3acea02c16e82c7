"""Pulling through a proxy that breaks things: an error or the right bytes, never wrong ones."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from tests.components.faults import (
    Answer,
    Change,
    CutResponse,
    Fault,
    FaultProxy,
    IgnoreRange,
    LoseAnswer,
    Silence,
    Stall,
    drop_header,
    flip_byte,
    lie_about_length,
    rate_limited,
    redirect,
    wrong_content_range,
)
from tests.components.oci_registry import RunningRegistry, SeededModel, seed_manifest, seed_model
from tests.registry.conftest import quick, read

from stoker.base.errors import (
    DigestMismatch,
    ModelNotFound,
    ParseError,
    RateLimited,
    RegistryError,
    SizeMismatch,
    StokerError,
    Unreachable,
    UnsupportedFormat,
)
from stoker.net.options import Timeouts
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Index, index_bytes
from stoker.oci.mediatypes import DOCKER_GGUF, OCI_INDEX
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient
from stoker.registry.repository import Repository

WEIGHTS = bytes(range(256)) * 2000
HALF = len(WEIGHTS) // 2


@pytest.fixture
def seeded(registry: RunningRegistry, repository_name: str) -> SeededModel:
    return seed_model(registry.host, repository_name, WEIGHTS)


@dataclass(frozen=True, slots=True)
class Case:
    """A model in a real registry, and a client that sees it through the proxy."""

    proxy: FaultProxy
    client: RegistryClient
    seeded: SeededModel
    name: str

    @property
    def repository(self) -> Repository:
        return self.client.repository(parse_reference(self.name))

    async def pull(self, *, at: int = 0) -> tuple[int, bytes]:
        """Resolve the manifest and read the weights."""
        repository = self.repository
        await repository.resolve()
        return await read(repository, Descriptor.of(WEIGHTS, DOCKER_GGUF), at=at)


@pytest.fixture
def case(
    proxy: FaultProxy, client: RegistryClient, seeded: SeededModel, repository_name: str
) -> Case:
    return Case(proxy, client, seeded, f"{proxy.host}/{repository_name}")


@pytest.mark.parametrize("fault", [CutResponse(HALF), Stall(HALF)], ids=["cut", "stall"])
async def test_a_broken_download_says_so_and_can_go_on(case: Case, fault: Fault) -> None:
    layer = case.seeded.manifest.layers[0]
    case.proxy.on("GET", "/blobs/", fault)
    got = bytearray()

    async def download(repository: Repository) -> None:
        async with repository.open(layer) as body:
            async for chunk in body:
                got.extend(chunk)

    impatient = quick(timeouts=Timeouts(idle=0.3))
    async with RegistryClient(impatient) as client:
        with pytest.raises(Unreachable, match="in the middle of a download"):
            await download(replace(case, client=client).repository)
    assert WEIGHTS.startswith(got)
    offset, rest = await read(case.repository, layer, at=len(got))
    assert (offset, bytes(got) + rest) == (len(got), WEIGHTS)


async def test_a_server_that_never_answers(case: Case) -> None:
    case.proxy.on("GET", "/manifests/", Silence(), times=2)
    impatient = quick(timeouts=Timeouts(connect=0.3, first_byte=0.3))
    async with RegistryClient(impatient) as client:
        repository = replace(case, client=client).repository
        assert await repository.resolve() == case.seeded.descriptor
    assert case.proxy.count("GET") == 3


async def test_a_cancelled_download_leaves_nothing_open(case: Case) -> None:
    layer = case.seeded.manifest.layers[0]
    case.proxy.on("GET", "/blobs/", Stall(HALF))
    began = asyncio.Event()

    async def download() -> None:
        async with case.repository.open(layer) as body:
            async for _ in body:
                began.set()

    task = asyncio.create_task(download())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await case.pull() == (0, WEIGHTS)


@pytest.mark.parametrize(
    ("fault", "offset"),
    [
        (IgnoreRange(), 0),
        (wrong_content_range(first=1), 0),
        (wrong_content_range(first=-1), 0),
        (wrong_content_range(first=0, last=-1), 0),
        (drop_header("Content-Range"), 0),
        (Answer(416), 0),
        (LoseAnswer(), HALF),
        (Answer(500), HALF),
    ],
    ids=["200", "late start", "early start", "other end", "no Content-Range", "416", "lost", "500"],
)
async def test_resuming_gives_what_was_asked_or_everything(
    case: Case, fault: Fault, offset: int
) -> None:
    case.proxy.on("GET", "/blobs/", fault)
    assert await case.pull(at=HALF) == (offset, WEIGHTS[offset:])


@pytest.mark.parametrize("at", [0, HALF])
@pytest.mark.parametrize("by", [-1, 1, 10_000])
async def test_row_3_a_lying_length_is_noticed_before_the_first_byte(
    case: Case, at: int, by: int
) -> None:
    case.proxy.on("GET", "/blobs/", lie_about_length(by))
    with pytest.raises(SizeMismatch, match="offers"):
        await case.pull(at=at)


async def test_row_3_without_a_length_the_bytes_are_counted(case: Case) -> None:
    def chunked(extra: bytes, cut: int) -> Change:
        def encode(body: bytes) -> bytes:
            return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"

        return Change(
            lambda reply: type(reply)(
                200, {"Transfer-Encoding": "chunked"}, encode((reply.body + extra)[:cut])
            )
        )

    case.proxy.on("GET", "/blobs/", chunked(b"more", len(WEIGHTS) + 4))
    with pytest.raises(SizeMismatch, match="sends more than"):
        await case.pull()
    case.proxy.on("GET", "/blobs/", chunked(b"", len(WEIGHTS) - 4))
    with pytest.raises(Unreachable, match="stopped after"):
        await case.pull()


async def test_a_packed_answer_is_refused(case: Case) -> None:
    case.proxy.on(
        "GET", "/blobs/", Change(lambda reply: reply.with_header("Content-Encoding", "gzip"))
    )
    with pytest.raises(RegistryError, match="repacked"):
        await case.pull()


async def test_row_3_a_flipped_byte_in_a_manifest(case: Case) -> None:
    case.proxy.on("GET", "/manifests/", flip_byte(-30), times=2)
    with pytest.raises(DigestMismatch):
        await case.pull()
    repository = case.client.repository(
        parse_reference(f"{case.name}@{case.seeded.descriptor.digest}")
    )
    with pytest.raises(DigestMismatch):
        await repository.resolve()
    assert await repository.resolve() == case.seeded.descriptor


@pytest.mark.parametrize(
    "digest", ["sha256:../../etc/passwd", "SHA256:" + "A" * 64, "md5:" + "0" * 32, "sha256:"]
)
async def test_row_4_a_registry_with_a_digest_that_is_none(case: Case, digest: str) -> None:
    lie = Change(lambda reply: reply.with_header("Docker-Content-Digest", digest))
    case.proxy.on("GET", "/manifests/", lie)
    with pytest.raises(ParseError, match="not a digest"):
        await case.pull()


@pytest.mark.parametrize("answer", [Answer(500), Answer(502), Answer(503), rate_limited("0")])
async def test_passing_trouble_is_waited_out(case: Case, answer: Answer) -> None:
    case.proxy.on("GET", "/manifests/", answer, times=2)
    case.proxy.on("GET", "/blobs/", answer, times=2)
    assert await case.pull() == (0, WEIGHTS)


async def test_rate_limits_carry_the_time_to_wait(case: Case) -> None:
    case.proxy.on("GET", "/manifests/", rate_limited("3600"))
    with pytest.raises(RateLimited) as caught:
        await case.pull()
    assert caught.value.retry_after == 3600.0
    assert case.proxy.count("GET") == 1  # an hour is more than the patience of one request


async def test_lasting_trouble_names_the_host_and_the_status(case: Case) -> None:
    body = b'{"errors":[{"code":"TOOBUSY","message":"come\\n back\\u001b[31m later"}]}'
    case.proxy.on("GET", "/manifests/", Answer(503, {}, body), times=9)
    with pytest.raises(
        RegistryError, match=r"status 503 TOOBUSY \(come back\?\[31m later\)"
    ) as got:
        await case.pull()
    assert (got.value.origin, got.value.status) == (case.proxy.host, 503)
    assert case.proxy.count("GET") == 3


@pytest.mark.parametrize(
    ("code", "text"),
    [("NAME_UNKNOWN", "NAME_UNKNOWN - Model not found"), ("X", "MANIFEST_UNKNOWN - Model not")],
)
async def test_unknown_models_in_the_words_of_docker(case: Case, code: str, text: str) -> None:
    case.proxy.on(
        "GET", "/manifests/", Answer(404, {}, b'{"errors":[{"code":"%s"}]}' % code.encode())
    )
    with pytest.raises(ModelNotFound) as caught:
        await case.pull()
    assert caught.value.message.startswith(f'failed to pull model "{case.name}:latest": {text}')


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        (b"<html>", {}, ParseError),
        (b"[]", {}, ParseError),
        (b'{"schemaVersion":1,"mediaType":"application/x"}', {}, UnsupportedFormat),
        (b'{"config":{},"layers":[],"manifests":[]}', {}, UnsupportedFormat),
        (b'{"config":{},"layers":[]}', {"Content-Type": OCI_INDEX}, UnsupportedFormat),
        (b'{"manifests":[]}', {"Content-Type": OCI_INDEX}, StokerError),
        (b'{"manifests":[],"schemaVersion":2}', {"Content-Type": OCI_INDEX}, UnsupportedFormat),
        (b" " * (4 * 1024 * 1024 + 1), {}, RegistryError),
    ],
)
async def test_manifests_that_are_none(
    case: Case, body: bytes, headers: dict[str, str], error: type[StokerError]
) -> None:
    case.proxy.on("GET", "/manifests/", Answer(200, headers, body))
    with pytest.raises(error):
        await case.pull()


async def test_an_index_with_one_manifest_is_looked_through(
    registry: RunningRegistry, client: RegistryClient, seeded: SeededModel, repository_name: str
) -> None:
    attestation = {"vnd.docker.reference.type": "attestation-manifest"}
    first = seeded.descriptor
    beside = Descriptor(first.media_type, first.digest, first.size, attestation)
    one, two = Index((first, beside)), Index((first, first))
    seed_manifest(registry.host, repository_name, index_bytes(one), OCI_INDEX, "one")
    seed_manifest(registry.host, repository_name, index_bytes(two), OCI_INDEX, "two")
    repository = client.repository(parse_reference(f"{registry.host}/{repository_name}:one"))
    assert (await repository.resolve()).digest == first.digest
    with pytest.raises(UnsupportedFormat, match="index of 2 manifests"):
        await repository.resolve("two")


async def test_redirects_end(case: Case) -> None:
    case.proxy.on("GET", "/blobs/", redirect("?again"), times=1000)
    with pytest.raises(RegistryError, match="more than 10 times"):
        await case.pull()
    assert case.proxy.count("GET", "/blobs/") == 11


async def test_ten_redirects_are_fine(case: Case) -> None:
    case.proxy.on("GET", "/blobs/", redirect("?again"), times=10)
    assert await case.pull(at=HALF) == (HALF, WEIGHTS[HALF:])
    assert {s.headers.get("range") for s in case.proxy.seen if "/blobs/" in s.path} == {
        f"bytes={HALF}-"
    }
