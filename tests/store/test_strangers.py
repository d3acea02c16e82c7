"""Other people's tools read the store as it lies."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from stoker.store import Store
from tests.store.models import model, put_model

NAMES = ("docker.io/ai/pilot:latest", "registry.example.com:5000/team/pilot:Q4_K_M")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
@pytest.mark.parametrize("name", NAMES)
async def test_skopeo(store: Store, root: Path, tmp_path: Path, name: str) -> None:
    pilot = await put_model(store, model(b"weights", b"more"), *NAMES)
    raw = _run("skopeo", "inspect", "--raw", f"oci:{root}:{name}")
    assert raw == pilot.document
    _run("skopeo", "copy", "--quiet", f"oci:{root}:{name}", f"dir:{tmp_path}/out")
    layer = pilot.manifest.layers[0].digest.removeprefix("sha256:")
    assert (tmp_path / "out" / layer).read_bytes() == b"weights"


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
async def test_what_skopeo_put_in_is_listed(store: Store, root: Path) -> None:
    await put_model(store, model(b"weights"), NAMES[0])
    other = root.parent / "models2"
    Store.open(other)
    _run("skopeo", "copy", "--quiet", f"oci:{root}:{NAMES[0]}", f"oci:{other}:{NAMES[0]}")
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


def _run(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
