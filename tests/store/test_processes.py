"""Several processes at one store."""

import asyncio
import subprocess
import sys
from pathlib import Path

from stoker.oci.descriptor import Descriptor
from stoker.store import Store
from tests.store.models import model, put_model

_TAG = """
import pathlib, sys
from stoker.oci.digest import Digest
from stoker.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
manifest = store.entries()[0].manifest
sys.stdin.readline()
for number in range(20):
    store.tag(f"docker.io/ai/{sys.argv[2]}:{number}", manifest)
    if number % 2:
        store.untag(f"docker.io/ai/{sys.argv[2]}:{number}")
"""
_INGEST = """
import asyncio, pathlib, sys
from stoker.oci.descriptor import Descriptor
from stoker.store import Store
data = bytes(range(256)) * 4000
async def main():
    store = Store.open(pathlib.Path(sys.argv[1]))
    sys.stdin.readline()
    descriptor = Descriptor.of(data, "application/octet-stream")
    async with store.lease(descriptor.digest), store.blobs.ingest(descriptor) as into:
        waited = into.offset == len(data)
        for position in range(into.offset, len(data), 1000):
            await into.write(data[position:position + 1000])
        await into.commit()
    print("found" if waited else "wrote")
asyncio.run(main())
"""


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _run(children: list[subprocess.Popen[str]]) -> list[str]:
    """Let them go at the same moment; what they print."""
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0] * len(children)
    return outputs


async def test_tagging_at_once_loses_nothing(store: Store, root: Path) -> None:
    await put_model(store, model(b"weights"), "docker.io/ai/pilot:latest")
    _run([_start(_TAG, str(root), who) for who in ("a", "b")])
    expected = {f"docker.io/ai/{who}:{n}" for who in "ab" for n in range(0, 20, 2)}
    assert set(store.entries()[0].names) == expected | {"docker.io/ai/pilot:latest"}


def test_one_writes_and_the_others_find_it(store: Store, root: Path) -> None:
    outputs = _run([_start(_INGEST, str(root)) for _ in range(3)])
    assert "wrote\n" in outputs
    assert store.fsck(deep=True).problems == ()


async def test_collecting_while_others_write(store: Store, root: Path) -> None:
    children = [_start(_INGEST, str(root)) for _ in range(2)]
    running = asyncio.create_task(asyncio.to_thread(_run, children))
    while not running.done():
        store.gc()
        await asyncio.sleep(0)
    await running
    # Its lease is over: now it may go.
    descriptor = Descriptor.of(bytes(range(256)) * 4000, "application/octet-stream")
    assert not store.blobs.has(descriptor) or store.gc().removed == (descriptor.digest,)
