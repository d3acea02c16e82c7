"""Pull, push and package ÷ what hashing and the disk allow, and ÷ other clients.

`STOKER_BENCH_GIB` sets the size (default 4). The registry runs on the same cores as the client: its
share of the processor is shown, for it is what keeps the ratio below one.
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.components.artifacts import raw_artifact
from tests.components.oci_registry import RunningRegistry, oci_registry, skopeo

from bench.table import show
from stoker.distribution.artifact import store_artifact
from stoker.oci.reference import parse_reference
from stoker.registry import RegistryClient
from stoker.store import Store
from stoker.transfer import copy

GIB = float(os.environ.get("STOKER_BENCH_GIB", "4"))
CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class Taken:
    """Wall seconds, and the processor seconds of the registry meanwhile."""

    seconds: float
    registry: float = 0.0


def run() -> None:
    """Print the table."""
    folder = Path(tempfile.mkdtemp(prefix="stoker-bench-"))
    try:
        with oci_registry(folder / "registry") as registry:
            _measure(folder, registry)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, registry: RunningRegistry) -> None:
    file = folder / "model.gguf"
    _write_random(file)
    size = file.stat().st_size
    hashing = _timed(lambda: _hash(file))
    disk = _timed(lambda: _copy_to_disk(file, folder / "copy"))
    (folder / "copy").unlink()
    store = Store.open(folder / "store")
    name = f"localhost:{registry.port}/bench/model:v1"
    package = _timed(lambda: _package(store, file, name))
    push = _watched(registry, lambda: asyncio.run(_push(store, name)))
    pulled = Store.open(folder / "pulled")
    pull = _watched(registry, lambda: asyncio.run(_pull(pulled, name)))
    resident = psutil.Process().memory_info().rss
    shutil.rmtree(folder / "pulled")
    home = folder / "home"
    home.mkdir()
    by_skopeo = _watched(registry, lambda: _skopeo(home, name, folder / "skopeo"))
    shutil.rmtree(folder / "skopeo")
    by_oras = _watched(registry, lambda: _oras(name, folder / "oras"))
    best = max(hashing.seconds, disk.seconds)
    rows = [
        _row("SHA-256 alone", size, hashing, None, ""),
        _row("write and fsync alone", size, disk, None, ""),
        _row("package", size, package, package.seconds / hashing.seconds, "≤ 1.1 of hashing"),
        _row("push", size, push, best / push.seconds, "of min(hash, disk)"),
        _row("pull", size, pull, best / pull.seconds, "≥ 0.9 of min(hash, disk)"),
        _row("pull by skopeo", size, by_skopeo, by_skopeo.seconds / pull.seconds, "≥ 1.5"),
        _row("pull by oras-py", size, by_oras, by_oras.seconds / pull.seconds, "≥ 1.5"),
        ["memory after the pull", f"{resident / 1e6:.0f} MB", "", "", "", "≤ 150 MB"],
    ]
    show(["what", "seconds", "MB/s", "registry CPU", "ratio", "goal"], rows)


def _row(what: str, size: int, taken: Taken, ratio: float | None, goal: str) -> list[str]:
    share = f"{taken.registry / taken.seconds:.0%} of a core" if taken.registry else ""
    return [
        what,
        f"{taken.seconds:.1f}",
        f"{size / taken.seconds / 1e6:.0f}",
        share,
        "" if ratio is None else f"{ratio:.2f}",
        goal,
    ]


def _package(store: Store, file: Path, name: str) -> None:
    """Hash once and share the bytes, as `stoker package` does."""
    artifact = raw_artifact(file)
    asyncio.run(store_artifact(store, artifact, parse_reference(name), share=True))


async def _push(store: Store, name: str) -> None:
    reference = parse_reference(name)
    (entry,) = store.entries()
    async with RegistryClient() as client:
        await copy(store.blobs, client.repository(reference), entry.manifest)


async def _pull(store: Store, name: str) -> None:
    reference = parse_reference(name)
    async with RegistryClient() as client:
        source = client.repository(reference)
        root = await source.resolve()
        await copy(source, store.blobs, root)
        store.tag(name, root)


def _skopeo(home: Path, name: str, target: Path) -> None:
    skopeo(home, "copy", "--quiet", "--src-tls-verify=false", f"docker://{name}", f"oci:{target}:x")


def _oras(name: str, target: Path) -> None:
    code = (
        "import oras.client, sys;"
        "oras.client.OrasClient(insecure=True).pull(target=sys.argv[1], outdir=sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", code, name, str(target)], check=True, stdout=subprocess.DEVNULL
    )


def _write_random(file: Path) -> None:
    block = os.urandom(CHUNK)
    with file.open("wb") as out:
        for number in range(int(GIB * 1024**3) // CHUNK):
            out.write(number.to_bytes(8, "little") + block[8:])
        out.flush()
        os.fsync(out.fileno())  # or the first measurement would pay for it


def _hash(file: Path) -> None:
    with file.open("rb") as data:
        hashlib.file_digest(data, "sha256")


def _copy_to_disk(file: Path, target: Path) -> None:
    with file.open("rb") as data, target.open("wb") as out:
        shutil.copyfileobj(data, out, CHUNK)
        out.flush()
        os.fsync(out.fileno())


def _timed(work: Callable[[], None]) -> Taken:
    began = time.perf_counter()
    work()
    return Taken(time.perf_counter() - began)


def _watched(registry: RunningRegistry, work: Callable[[], None]) -> Taken:
    process = psutil.Process(registry.pid)
    before = sum(process.cpu_times()[:2])
    taken = _timed(work)
    return Taken(taken.seconds, sum(process.cpu_times()[:2]) - before)
