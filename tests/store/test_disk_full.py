"""A disk that is full: a clear error, nothing lost, and it goes on when there is room."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.base.errors import StorageError
from stoker.oci.content import RangedIngest
from stoker.oci.descriptor import Descriptor
from stoker.store import Store
from tests.store.conftest import open_files
from tests.store.models import model, put_model

KIND = "application/octet-stream"
DATA = os.urandom(3 * 1024 * 1024)

# The limit is the process's own: it cannot be tested in ours.
_LIMITED = """
import asyncio, pathlib, resource, sys
from stoker.base.errors import StorageError
from stoker.oci.descriptor import Descriptor
from stoker.store import Store
data = bytes(range(256)) * 32768
async def main():
    store = Store.open(pathlib.Path(sys.argv[1]))
    descriptor = Descriptor.of(data, "application/octet-stream")
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
    async with store.blobs.ingest(descriptor) as into:
        for position in range(0, len(data), 65536):
            await into.write(data[position:position + 65536])
        await into.commit()
try:
    asyncio.run(main())
except StorageError as error:
    print(error.message, "|", error.hint)
"""


def test_a_limit_on_file_sizes(store: Store, root: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(root)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "cannot write" in run.stdout
    assert "free some space" in run.stdout
    (partial,) = (root / ".stoker" / "ingest").iterdir()
    assert partial.stat().st_size == 5_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Two MiB, where we may mount such a thing."""
    place = tmp_path / "models"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        allowed = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk_in_order(small_disk: Path) -> None:
    store = Store.open(small_disk)
    descriptor = Descriptor.of(DATA, KIND)
    with pytest.raises(StorageError, match=r"No space left on device \(.*free\)") as caught:
        await store.blobs.ingest_bytes(descriptor, DATA)
    assert caught.value.hint
    await _go_on_with_more_room(store, small_disk, descriptor)


async def test_a_full_disk_out_of_order(small_disk: Path) -> None:
    store = Store.open(small_disk)
    descriptor = Descriptor.of(DATA, KIND)
    with pytest.raises(StorageError, match="No space left"):
        await _write_backwards(store, descriptor)
    await _go_on_with_more_room(store, small_disk, descriptor)


async def _write_backwards(store: Store, descriptor: Descriptor) -> None:
    step = 512 * 1024
    async with store.blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        for position in range(len(DATA) - step, -1, -step):
            await into.write_at(position, DATA[position : position + step])


async def test_a_full_disk_and_the_index(small_disk: Path) -> None:
    store = Store.open(small_disk)
    await put_model(store, model(b"weights"), "docker.io/ai/pilot:latest")
    before = store.entries()
    with pytest.raises(OSError, match="No space"):
        _fill(small_disk / ".stoker" / "filler")
    with pytest.raises(StorageError):
        store.untag("docker.io/ai/pilot:latest")
    assert store.entries() == before


async def test_a_full_disk_and_a_lease(small_disk: Path) -> None:
    store = Store.open(small_disk)
    digest = Descriptor.of(b"weights", KIND).digest
    with store.lease(digest):
        pass  # the store's lock has been signed: that takes no room any more
    with pytest.raises(OSError, match="No space"):
        _fill(small_disk / ".stoker" / "filler")
    with pytest.raises(StorageError, match="No space"):
        await store.lease(digest).__aenter__()
    # Neither the file nor its lock is left: nothing would ever take them away.
    assert list((small_disk / ".stoker" / "leases").iterdir()) == []
    assert not [path for path in open_files() if "/leases/" in path]


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


async def _go_on_with_more_room(store: Store, place: Path, descriptor: Descriptor) -> None:
    assert store.fsck(deep=True).problems == ()
    more = ["mount", "-o", "remount,size=8m", str(place)]
    await asyncio.to_thread(subprocess.run, more, check=True)
    async with store.blobs.ingest(descriptor) as into:
        assert isinstance(into, RangedIngest)
        missing = into.missing()
        assert sum(end - start for start, end in missing) < len(DATA)
        for start, end in missing:
            await into.write_at(start, DATA[start:end])
        await into.commit()
    assert store.fsck(deep=True).problems == ()
