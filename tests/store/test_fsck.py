from pathlib import Path

import pytest

from stoker.base.errors import CorruptStore
from stoker.oci.descriptor import Descriptor
from stoker.store import Store
from tests.store.models import CONFIG, Model, model, put_model

NAME = "docker.io/ai/pilot:latest"
GOOD = "docker.io/ai/good:latest"


async def two(store: Store) -> tuple[Model, Model]:
    pilot = await put_model(store, model(b"weights"), NAME)
    return pilot, await put_model(store, model(b"other weights"), GOOD)


def damage(store: Store, descriptor: Descriptor, data: bytes) -> None:
    path = store.blobs.path_of(descriptor.digest)
    path.chmod(0o644)
    path.write_bytes(data)


async def test_a_good_store_is_clean(store: Store) -> None:
    await two(store)
    assert store.fsck(repair=True).bytes == 0
    report = store.fsck(deep=True, repair=True)
    assert report.clean
    assert (report.models, report.blobs) == (2, 5)
    assert report.bytes == sum(
        path.stat().st_size for path in (store.root / "blobs").rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("data", [b"weightz", b"weig"])
async def test_a_damaged_layer_takes_its_model_off_the_list(store: Store, data: bytes) -> None:
    pilot, good = await two(store)
    damage(store, pilot.manifest.layers[0], data)
    assert not store.fsck(deep=True).clean
    report = store.fsck(deep=True, repair=True)
    assert report.clean
    assert {problem.where for problem in report.problems} == {
        NAME, pilot.manifest.layers[0].digest,
    }  # fmt: skip
    assert [entry.names for entry in store.entries()] == [(GOOD,)]
    assert store.fsck(deep=True).problems == ()
    assert len(list((store.root / ".stoker" / "quarantine").iterdir())) == 1
    store.gc()
    assert store.manifest(good.descriptor.digest) == good.manifest


async def test_a_shallow_check_sees_missing_and_short_blobs(store: Store) -> None:
    pilot, _ = await two(store)
    damage(store, pilot.manifest.layers[0], b"short")
    assert not store.fsck().clean
    store.blobs.path_of(pilot.manifest.layers[0].digest).unlink()
    assert [problem.where for problem in store.fsck().problems] == [NAME]
    assert store.fsck(repair=True).clean
    assert [entry.names for entry in store.entries()] == [(GOOD,)]


async def test_a_shared_config_takes_both(store: Store) -> None:
    pilot, _ = await two(store)
    damage(store, pilot.manifest.config, b"[]")
    assert store.fsck(deep=True, repair=True).clean
    assert store.entries() == ()
    await store.blobs.ingest_bytes(pilot.manifest.config, CONFIG)
    store.tag(NAME, pilot.descriptor)
    assert store.fsck(deep=True).clean


async def test_a_damaged_manifest(store: Store) -> None:
    pilot, _ = await two(store)
    damage(store, pilot.descriptor, b"{}")
    assert not store.fsck().clean
    assert store.fsck(repair=True).clean
    assert [entry.names for entry in store.entries()] == [(GOOD,)]
    store.gc()


async def test_a_damaged_index_is_built_again(store: Store, root: Path) -> None:
    pilot, good = await two(store)
    damage(store, pilot.manifest.layers[0], b"shorter")
    store.blobs.path_of(pilot.manifest.layers[0].digest).unlink()
    (root / "index.json").write_text("{")
    with pytest.raises(CorruptStore):
        store.entries()
    assert not store.fsck().clean
    assert store.fsck(repair=True).clean
    assert [entry.manifest for entry in store.entries()] == [good.descriptor]


async def test_a_view_of_a_replaced_blob_is_built_again(store: Store) -> None:
    pilot, _ = await two(store)
    layer = pilot.manifest.layers[0]
    view = store.view(pilot.descriptor.digest, [("model.gguf", layer)])
    damage(store, layer, b"weightz")
    store.fsck(deep=True, repair=True)
    await store.blobs.ingest_bytes(layer, b"weights")
    store.tag(NAME, pilot.descriptor)
    assert store.view(pilot.descriptor.digest, [("model.gguf", layer)]) == view
    assert (view / "model.gguf").read_bytes() == b"weights"
