import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from stoker.base.errors import (
    AuthRequired,
    DigestMismatch,
    RateLimited,
    RegistryError,
    SizeMismatch,
    Unreachable,
    UnsupportedFormat,
)
from stoker.oci.content import Body
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import MAX_METADATA, Manifest, manifest_bytes
from stoker.oci.mediatypes import OCI_INDEX
from stoker.store import Store
from stoker.transfer import (
    Cut,
    Done,
    Moved,
    Patience,
    Progress,
    Retrying,
    Skipped,
    Started,
    copy,
)
from tests.components.memory_content import Fault, FaultySource, Happening, MemoryContent
from tests.components.places import quick_directory
from tests.store.models import Model, model

QUICK = Patience(attempts=3, base=0.0, stall=5.0)
SMALL = Cut(from_size=10_000, piece=4_000, batch=1_500)
LAYER = os.urandom(50_000)
# Small layers come in order, one connection at a time.
IN_ORDER = Cut(from_size=1 << 40)


@pytest.fixture
def pilot() -> Model:
    return model(LAYER, b"second layer")


@pytest.fixture
def store() -> Iterator[Store]:
    with quick_directory() as directory:
        yield Store.open(directory / "models")


def is_whole(store: Store, of: Model) -> bool:
    store.tag("docker.io/ai/pilot:latest", of.descriptor)
    return store.fsck(deep=True).clean


async def test_a_model_arrives_whole(store: Store, pilot: Model) -> None:
    seen: list[Progress] = []
    manifest = await copy(pilot.content, store.blobs, pilot.descriptor, notify=seen.append)
    assert manifest == pilot.manifest
    assert is_whole(store, pilot)
    layer = pilot.manifest.layers[0]
    mine = [event for event in seen if event.descriptor == layer]
    assert mine[0] == Started(layer, 0)
    assert mine[-2:] == [Moved(layer, layer.size), Done(layer)]
    # The manifest is last.
    assert seen[-1] == Done(pilot.descriptor)


async def test_what_is_there_is_skipped(store: Store, pilot: Model) -> None:
    await copy(pilot.content, store.blobs, pilot.descriptor)
    seen: list[Progress] = []
    source = FaultySource(pilot.content, iter(()))
    await copy(source, store.blobs, pilot.descriptor, notify=seen.append)
    assert all(isinstance(event, Skipped) for event in seen)
    assert [digest for digest, _, _ in source.opened] == [pilot.descriptor.digest]


async def test_from_store_to_memory(store: Store, pilot: Model) -> None:
    await copy(pilot.content, store.blobs, pilot.descriptor)
    there = MemoryContent()
    await copy(store.blobs, there, pilot.descriptor)
    assert there.blobs == pilot.content.blobs


async def test_a_repeated_layer_is_fetched_once(store: Store) -> None:
    twice = model(LAYER, LAYER)
    source = FaultySource(twice.content, iter(()))
    await copy(source, store.blobs, twice.descriptor, cut=IN_ORDER)
    assert len(source.opened) == 3


async def test_one_digest_with_two_sizes_is_refused(store: Store, pilot: Model) -> None:
    layer = pilot.manifest.layers[0]
    lie = Descriptor(layer.media_type, layer.digest, layer.size - 1)
    document = manifest_bytes(Manifest(pilot.manifest.config, (layer, lie)))
    source = pilot.content
    descriptor = source.add(document, pilot.manifest.media_type)
    with pytest.raises(SizeMismatch, match="two different sizes"):
        await copy(source, store.blobs, descriptor)


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SHORT])
async def test_a_broken_stream_goes_on_where_it_broke(
    store: Store, pilot: Model, fault: Fault
) -> None:
    bad = [Happening(Fault.NONE)] * 2 + [Happening(fault)] * 3
    source = FaultySource(pilot.content, iter(bad))
    seen: list[Progress] = []
    await copy(
        source, store.blobs, pilot.descriptor, notify=seen.append, concurrency=1,
        patience=QUICK, cut=IN_ORDER,
    )  # fmt: skip
    assert is_whole(store, pilot)
    assert sum(isinstance(event, Retrying) for event in seen) == 3
    fetched = [at for digest, at, _ in source.opened if digest == pilot.manifest.layers[0].digest]
    assert fetched == sorted(fetched)
    held = [e.held for e in seen if isinstance(e, Moved) and e.descriptor.size == len(LAYER)]
    assert held == sorted(held)


async def test_progress_renews_the_patience(store: Store, pilot: Model) -> None:
    # Ten breaks, three attempts: each break comes after new bytes.
    bad = [Happening(Fault.NONE)] * 2 + [Happening(Fault.CUT, 0.3)] * 10
    source = FaultySource(pilot.content, iter(bad))
    await copy(source, store.blobs, pilot.descriptor, concurrency=1, patience=QUICK, cut=IN_ORDER)
    assert is_whole(store, pilot)


@pytest.mark.parametrize("cut", [IN_ORDER, SMALL])
async def test_patience_ends_and_what_came_stays(store: Store, pilot: Model, cut: Cut) -> None:
    bad = (
        [Happening(Fault.NONE)] * 2 + [Happening(Fault.CUT, 0.5)] + [Happening(Fault.REFUSED)] * 99
    )
    with pytest.raises(Unreachable):
        await copy(
            FaultySource(pilot.content, iter(bad)), store.blobs, pilot.descriptor,
            concurrency=1, patience=QUICK, cut=cut,
        )  # fmt: skip
    layer = pilot.manifest.layers[0]
    assert not store.blobs.has(layer)
    async with store.blobs.ingest(layer) as into:
        assert into.offset > 0
    assert not store.blobs.has(pilot.descriptor)
    source = FaultySource(pilot.content, iter(()))
    await copy(source, store.blobs, pilot.descriptor, cut=cut)
    assert is_whole(store, pilot)
    assert min(at for digest, at, _ in source.opened if digest == layer.digest) > 0


async def test_a_source_that_will_not_resume_is_passed_over(store: Store, pilot: Model) -> None:
    bad = [Happening(Fault.NONE)] * 2 + [Happening(Fault.CUT), Happening(Fault.WHOLE)]
    await copy(
        FaultySource(pilot.content, iter(bad)), store.blobs, pilot.descriptor,
        concurrency=1, patience=QUICK, cut=IN_ORDER,
    )  # fmt: skip
    assert is_whole(store, pilot)


async def test_a_hopeless_error_is_raised_at_once(store: Store, pilot: Model) -> None:
    class Closed(MemoryContent):
        opened = 0

        @contextlib.asynccontextmanager
        async def open(
            self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
        ) -> AsyncIterator[Body]:
            self.opened += 1
            if descriptor.digest != pilot.descriptor.digest:
                raise AuthRequired("who are you", origin="test", status=401)
            async with super().open(descriptor, at=at, length=length) as body:
                yield body

    source = Closed()
    source.blobs = pilot.content.blobs
    with pytest.raises(AuthRequired):
        await copy(source, store.blobs, pilot.descriptor, concurrency=1)
    assert source.opened == 2


async def test_a_silent_source_is_given_up(store: Store, pilot: Model) -> None:
    class Silent(MemoryContent):
        @contextlib.asynccontextmanager
        async def open(
            self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
        ) -> AsyncIterator[Body]:
            yield _SilentBody()

    with pytest.raises(Unreachable, match=r"no byte of .* for 0\.01 s"):
        await copy(
            Silent(), store.blobs, pilot.descriptor, patience=Patience(attempts=2, stall=0.01)
        )


class _SilentBody:
    offset = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


@pytest.mark.parametrize("cut", [IN_ORDER, SMALL])
async def test_wrong_bytes_are_refused(store: Store, pilot: Model, cut: Cut) -> None:
    bad = [Happening(Fault.NONE)] * 2 + [Happening(Fault.FLIPPED, 0.01)]
    with pytest.raises(DigestMismatch):
        await copy(
            FaultySource(pilot.content, iter(bad)), store.blobs, pilot.descriptor,
            concurrency=1, cut=cut,
        )  # fmt: skip
    assert not store.blobs.has(pilot.manifest.layers[0])
    await copy(pilot.content, store.blobs, pilot.descriptor, cut=cut)
    assert is_whole(store, pilot)


async def test_a_wrong_part_from_earlier_is_fetched_again(store: Store, pilot: Model) -> None:
    layer = pilot.manifest.layers[0]
    async with store.blobs.ingest(layer) as into:
        await into.write(b"?" * 10_000)
    await copy(pilot.content, store.blobs, pilot.descriptor)
    assert is_whole(store, pilot)


async def test_a_damaged_manifest_is_refused(store: Store, pilot: Model) -> None:
    source = FaultySource(pilot.content, iter([Happening(Fault.FLIPPED)]))
    with pytest.raises(DigestMismatch, match="the manifest"):
        await copy(source, store.blobs, pilot.descriptor)


async def test_only_a_manifest_of_sane_size_is_copied(store: Store, pilot: Model) -> None:
    root = pilot.descriptor
    with pytest.raises(UnsupportedFormat):
        await copy(pilot.content, store.blobs, Descriptor(OCI_INDEX, root.digest, root.size))
    huge = Descriptor(root.media_type, root.digest, MAX_METADATA + 1)
    with pytest.raises(SizeMismatch):
        await copy(pilot.content, store.blobs, huge)


class TestPieces:
    async def test_several_ranges_fly(self, store: Store, pilot: Model) -> None:
        source = FaultySource(pilot.content, iter(()))
        seen: list[Progress] = []
        await copy(source, store.blobs, pilot.descriptor, notify=seen.append, cut=SMALL)
        assert is_whole(store, pilot)
        layer = pilot.manifest.layers[0]
        asked = [(at, n) for digest, at, n in source.opened if digest == layer.digest]
        assert sorted(asked)[:2] == [(0, 4000), (4000, 4000)]
        assert len(asked) == 13
        assert Moved(layer, layer.size) in seen

    async def test_faults_cost_only_their_piece(self, store: Store, pilot: Model) -> None:
        bad = [Happening(Fault.NONE)] * 3 + [Happening(Fault.CUT, 0.01)] * 4
        source = FaultySource(pilot.content, iter(bad))
        await copy(source, store.blobs, pilot.descriptor, patience=QUICK, cut=SMALL)
        assert is_whole(store, pilot)

    async def test_a_source_without_ranges_sends_all(self, store: Store, pilot: Model) -> None:
        source = FaultySource(pilot.content, iter([Happening(Fault.WHOLE)] * 99))
        await copy(source, store.blobs, pilot.descriptor, patience=QUICK, cut=SMALL)
        assert is_whole(store, pilot)

    async def test_a_cancelled_copy_is_taken_up_again(self, store: Store, pilot: Model) -> None:
        layer = pilot.manifest.layers[0]
        enough = asyncio.Event()

        def notify(event: Progress) -> None:
            if isinstance(event, Moved) and event.descriptor == layer and event.held > 20_000:
                enough.set()

        task = asyncio.create_task(
            copy(pilot.content, store.blobs, pilot.descriptor, notify=notify, cut=SMALL)
        )
        await enough.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        seen: list[Progress] = []
        await copy(pilot.content, store.blobs, pilot.descriptor, notify=seen.append, cut=SMALL)
        assert is_whole(store, pilot)


class TestPatience:
    def test_a_registrys_wish_is_respected(self) -> None:
        patience = Patience(base=1.0, cap=4.0, longest=60.0)
        wish = RateLimited("slow down", origin="test", retry_after=30.0)
        assert patience.pause(wish, 1) == 30.0
        absurd = RateLimited("go away", origin="test", retry_after=3600.0)
        assert patience.pause(absurd, 1) is None

    def test_pauses_grow_and_end(self) -> None:
        patience = Patience(attempts=5, base=1.0, cap=4.0)
        error = Unreachable("gone", origin="test")
        pauses = [patience.pause(error, n, chance=lambda: 1.0) for n in range(1, 6)]
        assert pauses == [1.0, 2.0, 4.0, 4.0, None]

    @pytest.mark.parametrize(("status", "passing"), [(500, True), (503, True), (416, False)])
    def test_only_some_answers_pass(self, status: int, *, passing: bool) -> None:
        error = RegistryError("no", origin="test", status=status)
        assert (Patience().pause(error, 1) is not None) == passing
