import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base.errors import CorruptStore
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Index, index_bytes
from stoker.oci.mediatypes import OCI_INDEX
from stoker.store import Store
from stoker.store.durable import replace_file
from stoker.store.gc import mark
from tests.store.models import CONFIG, model, put_model

NAME = "docker.io/ai/pilot:latest"
KIND = "application/octet-stream"


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9))), st.sets(st.integers(0, 9)))
def test_mark_finds_what_is_reachable(edges: dict[int, list[int]], roots: set[int]) -> None:
    def name(number: int) -> Digest:
        return Digest(str(number))

    marked = mark(map(name, roots), lambda digest: map(name, edges.get(int(digest), [])))
    expected = set(roots)
    for _ in range(10):
        expected |= {child for node in expected for child in edges.get(node, [])}
    assert marked == frozenset(map(name, expected))


async def test_only_what_is_named_stays(store: Store) -> None:
    kept = await put_model(store, model(b"shared", b"mine"), NAME)
    gone = await put_model(store, model(b"shared", b"yours"), "docker.io/ai/gone:latest")
    store.remove(gone.descriptor.digest)
    collected = store.gc()
    assert set(collected.removed) == {gone.descriptor.digest, gone.manifest.layers[1].digest}
    assert collected.bytes == gone.descriptor.size + len(b"yours")
    assert store.fsck(deep=True).clean
    assert store.manifest(kept.descriptor.digest) == kept.manifest
    assert store.gc().removed == ()


async def test_a_nameless_model_stays(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME)
    store.untag(NAME)
    assert store.gc().removed == ()
    assert store.manifest(pilot.descriptor.digest) == pilot.manifest


async def test_a_lease_keeps_a_blob_and_what_a_manifest_needs(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"))
    loose = Descriptor.of(b"loose", KIND)
    async with store.lease(loose.digest, pilot.descriptor.digest):
        await store.blobs.ingest_bytes(loose, b"loose")
        assert store.gc().removed == ()
    assert len(store.gc().removed) == 4


async def test_a_failed_block_leaves_its_lease(store: Store) -> None:
    loose = Descriptor.of(b"loose", KIND)
    await store.blobs.ingest_bytes(loose, b"loose")
    with pytest.raises(RuntimeError), store.lease(loose.digest):
        raise RuntimeError
    assert store.gc().removed == ()
    assert store.purge().removed == (loose.digest,)


async def test_a_lease_expires_only_without_its_owner(store: Store) -> None:
    loose = Descriptor.of(b"loose", KIND)
    await store.blobs.ingest_bytes(loose, b"loose")
    with store.lease(loose.digest, duration=-1):
        assert store.gc().removed == ()
    with pytest.raises(RuntimeError), store.lease(loose.digest, duration=-1):
        raise RuntimeError
    assert store.gc().removed == (loose.digest,)


async def test_an_unreadable_lease_is_over(store: Store, root: Path) -> None:
    leases = root / ".stoker" / "leases"
    (leases / "half.json").write_text('{"digests": ["sha256:')
    (leases / "wrong.json").write_text('{"digests": ["x"], "expires": 9e99, "pid": 1}')
    loose = Descriptor.of(b"loose", KIND)
    await store.blobs.ingest_bytes(loose, b"loose")
    assert store.gc().removed == (loose.digest,)
    assert [path.name for path in leases.iterdir()] == ["wrong.json"]


async def test_a_cancelled_lease_is_given_back(store: Store, root: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), store.lease():
            pytest.fail("entered")
    assert list((root / ".stoker" / "leases").iterdir()) == []


async def test_content_on_its_way_in_stays(store: Store, root: Path) -> None:
    loose = Descriptor.of(b"loose", KIND)
    async with store.blobs.ingest(loose) as into:
        await into.write(b"loo")
        _age_everything(root / ".stoker" / "ingest")
        assert store.gc().bytes == 0
        store.purge()
        await into.write(b"se")
        await into.commit()
    assert store.blobs.has(loose)


async def test_a_partial_stays_for_a_week(store: Store, root: Path) -> None:
    loose = Descriptor.of(b"loose", KIND)
    async with store.blobs.ingest(loose) as into:
        await into.write(b"loo")
    store.gc()
    async with store.blobs.ingest(loose) as into:
        assert into.offset == 3
    _age_everything(root / ".stoker" / "ingest")
    with store.lease(loose.digest):
        assert store.gc().bytes == 0
    assert store.gc().bytes == 3


async def test_views_go_with_their_model(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME)
    view = store.view(pilot.descriptor.digest, [("model.gguf", pilot.manifest.layers[0])])
    store.gc()
    assert view.exists()
    store.remove(pilot.descriptor.digest)
    with store.lease(pilot.descriptor.digest):
        store.gc()
        assert (view / "model.gguf").read_bytes() == b"weights"
    store.gc()
    assert not view.exists()


async def test_nothing_is_collected_past_a_damaged_manifest(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME)
    path = store.blobs.path_of(pilot.descriptor.digest)
    path.unlink()
    with pytest.raises(CorruptStore, match="nothing was collected"):
        store.gc()
    assert store.blobs.has(pilot.manifest.layers[0])


async def test_what_a_foreign_index_lists_stays(store: Store, root: Path) -> None:
    pilot = await put_model(store, model(b"weights"))
    index = index_bytes(Index((pilot.descriptor,)))
    descriptor = Descriptor.of(index, OCI_INDEX)
    await store.blobs.ingest_bytes(descriptor, index)
    replace_file(root / "index.json", index_bytes(Index((descriptor,))), scratch=root)
    assert store.gc().removed == ()
    assert store.entries() == ()
    assert store.blobs.has(Descriptor.of(CONFIG, KIND))


async def test_litter_of_killed_processes_goes(store: Store, root: Path) -> None:
    (root / ".stoker" / "tmp" / "index.json.123").write_text("half")
    (root / ".stoker" / "views" / "building-123").mkdir()
    store.gc()
    assert len(list((root / ".stoker" / "views").iterdir())) == 1
    _age_everything(root / ".stoker" / "tmp")
    _age_everything(root / ".stoker" / "views")
    store.gc()
    for name in ("tmp", "views", "trash"):
        assert list((root / ".stoker" / name).iterdir()) == []


async def test_the_files_of_strangers_are_left_alone(store: Store, root: Path) -> None:
    (root / "blobs" / "sha256" / "README").write_text("hello")
    store.gc()
    assert (root / "blobs" / "sha256" / "README").exists()


def _age_everything(directory: Path) -> None:
    then = time.time() - 8 * 24 * 3600
    for path in directory.iterdir():
        os.utime(path, (then, then))


def come_and_go(path: Path, over: threading.Event) -> None:
    while not over.is_set():
        path.touch()
        path.unlink()


def arrive(store: Store, over: threading.Event) -> None:
    async def one_by_one() -> None:
        for number in count():
            if over.is_set():
                return
            data = b"%d" % number
            await store.blobs.ingest_bytes(Descriptor.of(data, KIND), data)

    asyncio.run(one_by_one())


@pytest.mark.parametrize("place", ["tmp", "views", "ingest"])
def test_what_is_written_meanwhile_is_in_nobodys_way(store: Store, root: Path, place: str) -> None:
    """Whoever writes or lays out does so without the store's lock."""
    over = threading.Event()
    with ThreadPoolExecutor() as pool:
        if place == "ingest":
            other = pool.submit(arrive, Store.open(root), over)
        else:
            other = pool.submit(come_and_go, root / ".stoker" / place / "building-x", over)
        try:
            for _ in range(500):
                store.purge()
        finally:
            over.set()
        other.result()
