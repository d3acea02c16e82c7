import asyncio
import os
import time
from pathlib import Path

import pytest

from stoker.base.errors import CorruptStore, ModelNotFound, UnsupportedFormat
from stoker.oci.descriptor import Descriptor
from stoker.oci.mediatypes import OCI_INDEX
from stoker.store import Entry, Store
from tests.store.models import model, put_model

NAME = "docker.io/ai/pilot:latest"
OTHER = "docker.io/ai/pilot:v2"


async def test_a_tagged_model_is_listed(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME, OTHER)
    assert store.entries() == (Entry(pilot.descriptor, (NAME, OTHER)),)
    assert store.manifest(pilot.descriptor.digest) == pilot.manifest
    assert await store.blobs.resolve(OTHER) == pilot.descriptor
    assert store.fsck(deep=True).clean


async def test_another_process_sees_it(store: Store, root: Path) -> None:
    other = Store.open(root)
    assert other.entries() == ()
    pilot = await put_model(store, model(b"weights"), NAME)
    assert [entry.names for entry in other.entries()] == [(NAME,)]
    other.untag(NAME)
    assert store.entries() == (Entry(pilot.descriptor, ()),)


async def test_tagging_moves_a_name(store: Store) -> None:
    old = await put_model(store, model(b"old"), NAME)
    new = await put_model(store, model(b"new"), NAME)
    assert store.entries() == (Entry(old.descriptor, ()), Entry(new.descriptor, (NAME,)))


async def test_tagging_twice_changes_nothing(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME)
    store.tag(NAME, pilot.descriptor)
    assert store.entries() == (Entry(pilot.descriptor, (NAME,)),)


async def test_a_nameless_model_may_get_a_name(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME)
    assert store.untag(NAME) == pilot.descriptor
    assert store.entries() == (Entry(pilot.descriptor, ()),)
    store.tag(OTHER, pilot.descriptor)
    assert store.entries() == (Entry(pilot.descriptor, (OTHER,)),)
    with pytest.raises(ModelNotFound):
        store.untag(NAME)


async def test_several_models_without_a_name(store: Store) -> None:
    models = [await put_model(store, model(data)) for data in (b"one", b"two")]
    for one in [*models, *models]:
        store.add(one.descriptor)
    assert store.entries() == tuple(Entry(one.descriptor, ()) for one in models)


async def test_remove_answers_the_names(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"), NAME, OTHER)
    assert store.remove(pilot.descriptor.digest) == (NAME, OTHER)
    assert store.entries() == ()
    for absent in (store.remove, store.manifest):
        with pytest.raises(ModelNotFound):
            absent(pilot.descriptor.digest)


@pytest.mark.parametrize("which", ["config", "layer", "manifest"])
async def test_nothing_incomplete_gets_a_name(store: Store, which: str) -> None:
    pilot = await put_model(store, model(b"weights"))
    lost = {
        "config": pilot.manifest.config,
        "layer": pilot.manifest.layers[0],
        "manifest": pilot.descriptor,
    }[which]
    store.blobs.path_of(lost.digest).unlink()
    with pytest.raises(CorruptStore):
        store.tag(NAME, pilot.descriptor)
    assert store.entries() == ()


async def test_only_manifests_get_names(store: Store) -> None:
    pilot = await put_model(store, model(b"weights"))
    index = Descriptor(OCI_INDEX, pilot.descriptor.digest, pilot.descriptor.size)
    with pytest.raises(UnsupportedFormat):
        store.tag(NAME, index)


async def test_a_damaged_index_is_named(store: Store, root: Path) -> None:
    (root / "index.json").write_text("{")
    with pytest.raises(CorruptStore, match=r"index\.json is damaged"):
        store.entries()


async def test_a_blob_in_a_view_counts_once(store: Store) -> None:
    pilot = await put_model(store, model(b"w" * 100_000), NAME)
    before = store.disk_usage()
    store.view(pilot.descriptor.digest, [("model.gguf", pilot.manifest.layers[0])])
    assert store.disk_usage() - before < 1000


async def test_purge_leaves_an_empty_store(store: Store) -> None:
    await put_model(store, model(b"one"), NAME)
    half = Descriptor.of(b"half of it", "application/octet-stream")
    async with store.blobs.ingest(half) as into:
        await into.write(b"half")
    assert len(store.purge().removed) == 3
    assert store.entries() == ()
    assert store.fsck(deep=True).clean
    async with store.blobs.ingest(half) as into:
        assert into.offset == 0


async def test_a_warm_listing_does_not_read(store: Store, root: Path) -> None:
    await put_model(store, model(b"one"), NAME)
    # The file must have settled before it is remembered.
    index = root / "index.json"
    _age(index, seconds=1)
    assert store.entries() is store.entries()
    text = index.read_text()
    index.write_text(text.replace("pilot", "other"))
    await asyncio.sleep(0)  # it is looked at once in each turn of the event loop
    assert store.entries()[0].names == ("docker.io/ai/other:latest",)


def _age(path: Path, *, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))
