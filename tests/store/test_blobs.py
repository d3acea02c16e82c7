import asyncio
import os
from pathlib import Path

import pytest

from stoker.base.errors import (
    CorruptStore,
    DigestMismatch,
    ParseError,
    SizeMismatch,
    StorageError,
)
from stoker.oci.content import RangedIngest
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import MAX_METADATA
from stoker.store import BlobStore, Store
from stoker.store.partial import JOURNAL
from tests.suites.content_suite import DATA, Content, ContentSuite, put, read

KIND = "application/octet-stream"
# More than one hand-over to the threads, and not a multiple of it.
LARGE = os.urandom(5 * 1024 * 1024 + 17)


class TestBlobStore(ContentSuite):
    @pytest.fixture
    def content(self, store: Store) -> Content:
        return store.blobs


@pytest.fixture
def blobs(store: Store) -> BlobStore:
    return store.blobs


def partials(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".stoker" / "ingest").iterdir())


async def test_large_content_round_trips(blobs: BlobStore) -> None:
    descriptor = await put(blobs, LARGE, chunk=65_537)
    assert await read(blobs, descriptor) == LARGE


async def test_a_blob_is_read_only_and_leaves_no_partial(blobs: BlobStore, root: Path) -> None:
    descriptor = await put(blobs, DATA)
    assert blobs.path_of(descriptor.digest).stat().st_mode & 0o777 == 0o444
    assert partials(root) == []


async def test_an_untouched_ingest_leaves_nothing(blobs: BlobStore, root: Path) -> None:
    async with blobs.ingest(Descriptor.of(DATA, KIND)):
        pass
    assert partials(root) == []


async def test_a_second_writer_waits_and_finds_it_there(blobs: BlobStore) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    first_in = asyncio.Event()
    finish = asyncio.Event()
    order: list[str] = []

    async def first() -> None:
        async with blobs.ingest(descriptor) as into:
            await into.write(DATA)
            first_in.set()
            await finish.wait()
            await into.commit()
            order.append("first")

    async def second() -> None:
        await first_in.wait()
        finish.set()
        async with blobs.ingest(descriptor) as into:
            order.append("second")
            assert into.offset == len(DATA)
            await into.commit()

    await asyncio.gather(first(), second())
    assert order == ["first", "second"]


async def test_a_second_writer_takes_over_when_the_first_gives_up(blobs: BlobStore) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    waiting = asyncio.Event()
    async with blobs.ingest(descriptor) as into:
        await into.write(DATA[:100])

        async def second() -> int:
            waiting.set()
            async with blobs.ingest(descriptor) as other:
                return other.offset

        task = asyncio.create_task(second())
        await waiting.wait()
    assert await task == 100


async def test_a_waiting_writer_can_be_cancelled(blobs: BlobStore) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    async with blobs.ingest(descriptor) as into:
        await into.write(DATA)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), blobs.ingest(descriptor):
                pytest.fail("two writers")
        await into.commit()


async def test_out_of_order(blobs: BlobStore, root: Path) -> None:
    descriptor = Descriptor.of(LARGE, KIND)
    half = len(LARGE) // 2
    async with blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        assert into.missing() == ((0, len(LARGE)),)
        await into.write_at(half, LARGE[half:])
        assert into.offset == 0
        assert into.missing() == ((0, half),)
        await into.write_at(0, LARGE[:half])
        assert into.offset == len(LARGE)
        await into.commit()
    assert await read(blobs, descriptor) == LARGE
    assert partials(root) == []


async def test_what_came_out_of_order_is_found_again(blobs: BlobStore, root: Path) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    async with blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        await into.write_at(1000, DATA[1000:2000])
        await into.write_at(3000, DATA[3000:])
    assert len(partials(root)) == 2
    async with blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        assert into.missing() == ((0, 1000), (2000, 3000))
        await into.write_at(2000, DATA[2000:3000])
        await into.write_at(0, DATA[:1000])
        await into.commit()
    assert await read(blobs, descriptor) == DATA


async def test_a_writer_in_order_may_follow_one_out_of_order(blobs: BlobStore, root: Path) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    async with blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        await into.write_at(0, DATA[:1000])
        await into.write_at(3000, b"X" * 1000)
        assert into.offset == 1000
        await into.write(DATA[1000:2000])
    assert not any(name.endswith(JOURNAL) for name in partials(root))
    await put(blobs, DATA)
    assert await read(blobs, descriptor) == DATA


async def test_no_journal_is_left_behind_that_tells_less(blobs: BlobStore, root: Path) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    async with blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        await into.write_at(0, DATA[:1000])
    # As after a kill: the journal of a file without a hole.
    (partial,) = (root / ".stoker" / "ingest").iterdir()
    partial.with_name(partial.name + JOURNAL).write_text("0 1000\n")
    async with blobs.ingest(descriptor) as into:
        await into.write(DATA[1000:2000])
    async with blobs.ingest(descriptor) as into:
        assert into.offset == 2000


async def test_a_journal_of_a_shorter_file_is_not_believed(blobs: BlobStore, root: Path) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    async with blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        await into.write_at(1000, DATA[1000:2000])
    journal = next((root / ".stoker" / "ingest").glob(f"*{JOURNAL}"))
    journal.write_text("0 999999999\nnonsense\n5 3\n7 8 9\n12")
    async with blobs.ingest(descriptor) as into:
        assert into.offset == 2000
        await into.write(DATA[2000:])
        # The first 1000 bytes were never written: the digest is the judge.
        with pytest.raises(DigestMismatch):
            await into.commit()


async def test_a_partial_longer_than_the_content_starts_anew(blobs: BlobStore, root: Path) -> None:
    descriptor = Descriptor.of(DATA, KIND)
    hex_digits = descriptor.digest.removeprefix("sha256:")
    (root / ".stoker" / "ingest" / f"sha256-{hex_digits}").write_bytes(DATA + b"more")
    async with blobs.ingest(descriptor) as into:
        assert into.offset == 0


async def test_a_truncated_blob_is_replaced(blobs: BlobStore) -> None:
    descriptor = await put(blobs, DATA)
    path = blobs.path_of(descriptor.digest)
    path.chmod(0o644)
    path.write_bytes(DATA[:10])
    assert not await blobs.exists(descriptor)
    with pytest.raises(CorruptStore, match="full length"):
        await read(blobs, descriptor)
    await put(blobs, DATA)
    assert await read(blobs, descriptor) == DATA


async def test_ingest_file(blobs: BlobStore, tmp_path: Path) -> None:
    file = tmp_path / "weights.gguf"
    file.write_bytes(LARGE)
    descriptor = Descriptor.of(LARGE, KIND)
    await blobs.ingest_file(file, descriptor)
    await blobs.ingest_file(file, descriptor)
    assert await read(blobs, descriptor) == LARGE
    # Still its owner's: not linked, not read-only.
    assert file.stat().st_nlink == 1
    assert file.stat().st_mode & 0o200


async def test_ingest_file_refuses_another_file(blobs: BlobStore, tmp_path: Path) -> None:
    file = tmp_path / "weights.gguf"
    file.write_bytes(b"?" + DATA[1:])
    with pytest.raises(DigestMismatch):
        await blobs.ingest_file(file, Descriptor.of(DATA, KIND))
    with pytest.raises(SizeMismatch, match="16384 bytes, 3 were expected"):
        await blobs.ingest_file(file, Descriptor.of(b"abc", KIND))
    with pytest.raises(StorageError, match="No such file"):
        await blobs.ingest_file(tmp_path / "nothing", Descriptor.of(DATA, KIND))


async def test_metadata_is_bounded_and_verified(blobs: BlobStore) -> None:
    descriptor = await put(blobs, DATA)
    assert blobs.read_metadata(descriptor) == DATA
    with pytest.raises(ParseError, match="at most"):
        blobs.read_metadata(Descriptor(KIND, descriptor.digest, MAX_METADATA + 1))
    with pytest.raises(CorruptStore, match="missing"):
        blobs.read_metadata(Descriptor.of(b"elsewhere", KIND))
    path = blobs.path_of(descriptor.digest)
    path.chmod(0o644)
    path.write_bytes(b"?" + DATA[1:])
    with pytest.raises(CorruptStore, match="not what its name says"):
        blobs.read_metadata(descriptor)


async def test_a_reader_may_leave_early(blobs: BlobStore) -> None:
    descriptor = await put(blobs, LARGE)
    async with blobs.open(descriptor) as body:
        async for chunk in body:
            assert chunk
            break
