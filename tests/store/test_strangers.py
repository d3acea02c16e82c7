"""Other people's tools read the store as it lies."""

import json
from pathlib import Path

import pytest

from stoker.store import Store
from tests.components.oci_registry import skopeo
from tests.store.models import model, put_model

NAMES = ("docker.io/ai/pilot:latest", "registry.example.com:5000/team/pilot:Q4_K_M")


@pytest.mark.parametrize("name", NAMES)
async def test_skopeo(store: Store, root: Path, tmp_path: Path, name: str) -> None:
    pilot = await put_model(store, model(b"weights", b"more"), *NAMES)
    raw = skopeo(tmp_path, "inspect", "--raw", f"oci:{root}:{name}")
    assert raw.encode() == pilot.document
    skopeo(tmp_path, "copy", "--quiet", f"oci:{root}:{name}", f"dir:{tmp_path}/out")
    layer = pilot.manifest.layers[0].digest.removeprefix("sha256:")
    assert (tmp_path / "out" / layer).read_bytes() == b"weights"


async def test_what_skopeo_put_in_is_listed(store: Store, root: Path, tmp_path: Path) -> None:
    await put_model(store, model(b"weights"), NAMES[0])
    other = root.parent / "models2"
    Store.open(other)
    source, target = (f"oci:{layout}:{NAMES[0]}" for layout in (root, other))
    skopeo(tmp_path, "copy", "--quiet", source, target)
    taken = Store.open(other)
    assert [entry.names for entry in taken.entries()] == [(NAMES[0],)]
    assert taken.fsck(deep=True).clean
    assert taken.gc().removed == ()


async def test_the_files_are_what_the_specification_says(store: Store, root: Path) -> None:
    pilot = await put_model(store, model(b"weights"), *NAMES)
    index = json.loads((root / "index.json").read_text())
    assert index["schemaVersion"] == 2
    assert [
        entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]
    ] == list(NAMES)
    for entry in index["manifests"]:
        assert entry["digest"] == pilot.descriptor.digest
        assert (root / "blobs" / Path(*entry["digest"].split(":"))).stat().st_size == entry["size"]
