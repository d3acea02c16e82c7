"""Garbage collection: mark what is named or leased, sweep the rest."""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stoker.base.errors import CorruptStore, ParseError
from stoker.oci.digest import Digest, parse_digest, split_digest
from stoker.oci.manifest import MAX_METADATA, Index, parse_index, parse_manifest
from stoker.oci.mediatypes import MANIFESTS
from stoker.store.durable import disk_errors
from stoker.store.layout import WITH_CODE, Layout
from stoker.store.leases import leased
from stoker.store.lock import StoreLock
from stoker.store.partial import JOURNAL, abandon
from stoker.store.tags import IndexFile
from stoker.store.views import BUILDING

# An interrupted pull is worth resuming for a week. Seconds.
_PARTIAL_AGE: Final = 7 * 24 * 3600.0
# What a killed process left half-made; whoever is still at it has touched it since. Seconds.
_LITTER_AGE: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed: whole blobs by digest, and all bytes it freed."""

    removed: tuple[Digest, ...]
    bytes: int


def mark(
    roots: Iterable[Digest], children: Callable[[Digest], Iterable[Digest]]
) -> frozenset[Digest]:
    """Everything reachable from the roots. Pure; each digest is visited once."""
    seen: set[Digest] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest not in seen:
            seen.add(digest)
            waiting.extend(children(digest))
    return frozenset(seen)


def collect(layout: Layout, lock: StoreLock, index: IndexFile, *, everything: bool) -> Collected:
    """Blocks. What goes is chosen and moved aside under the lock, and deleted after it.

    `everything` also ends the patience with leases and partials whose owners are gone. Raises
    CorruptStore when a listed manifest cannot be read: its blobs would look like garbage.
    """
    now = time.time()
    with lock.held(), disk_errors("collect garbage in", layout.root):
        kept = leased(layout, now=now, living_only=everything)
        live = mark(
            [*(entry.digest for entry in index.read().manifests), *kept],
            _Graph(layout, index.read()),
        )
        removed, freed = _sweep_blobs(layout, live)
        freed += _sweep_partials(layout, kept, now, 0.0 if everything else _PARTIAL_AGE)
        _sweep_views(layout, live, now)
        _sweep_litter(layout, now)
    for litter in list(layout.trash.iterdir()):
        _delete(litter)
    return Collected(removed, freed)


class _Graph:
    """The children of a digest. Only roots, and what an index lists, are read as manifests."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._layout = layout
        self._listed = {e.digest for e in index.manifests if e.media_type in MANIFESTS}
        self._leaves: set[Digest] = set()

    def __call__(self, digest: Digest) -> Iterator[Digest]:
        if digest in self._leaves:
            return
        data = _small(self._layout.blob(digest))
        try:
            manifest = parse_manifest(data)
        except ParseError as error:
            if digest in self._listed:
                raise CorruptStore(
                    f"the manifest {digest} is missing or damaged; nothing was collected",
                    hint="`stoker verify --repair` first",
                ) from error
        else:
            found = {blob.digest for blob in manifest.blobs}
            self._leaves |= found - self._listed
            yield from found
            return
        try:
            yield from (listed.digest for listed in parse_index(data).manifests)
        except ParseError:
            return


def _small(path: Path) -> bytes:
    """The content of a file that may be metadata; nothing of one that cannot."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_METADATA:
                return b""
            return file.read()
    except FileNotFoundError:
        return b""


def blob_files(layout: Layout) -> Iterator[tuple[Digest, Path]]:
    """The blobs that are here; files with other names are left to whoever made them."""
    for directory in sorted(layout.blobs.iterdir()):
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            try:
                digest = parse_digest(f"{directory.name}:{path.name}")
            except ParseError:
                continue
            yield digest, path


def _sweep_blobs(layout: Layout, live: frozenset[Digest]) -> tuple[tuple[Digest, ...], int]:
    removed, freed = [], 0
    for digest, path in blob_files(layout):
        if digest not in live:
            freed += path.lstat().st_size
            discard(layout, path)
            removed.append(digest)
    return tuple(removed), freed


def _sweep_partials(layout: Layout, kept: frozenset[Digest], now: float, age: float) -> int:
    names = {"-".join(split_digest(digest)) for digest in kept}
    freed = 0
    for path in layout.partials.iterdir():
        if path.name.endswith(JOURNAL):
            if not path.with_name(path.name.removesuffix(JOURNAL)).exists():
                path.unlink(missing_ok=True)
        elif path.name not in names and _untouched(path, now) >= age:
            freed += abandon(path)
    return freed


def _sweep_views(layout: Layout, live: frozenset[Digest], now: float) -> None:
    names = {split_digest(digest)[1] for digest in live}
    for path in layout.views.iterdir():
        old = _untouched(path, now) >= _LITTER_AGE
        wanted = path.name.removesuffix(WITH_CODE) in names
        if not wanted and (old or not path.name.startswith(BUILDING)):
            discard(layout, path)


def _sweep_litter(layout: Layout, now: float) -> None:
    for path in layout.scratch.iterdir():
        if _untouched(path, now) >= _LITTER_AGE:
            path.unlink(missing_ok=True)


def _untouched(path: Path, now: float) -> float:
    """Seconds since it was changed; 0 for what its owner has taken away: that needs no lock."""
    try:
        return now - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def discard(layout: Layout, path: Path) -> None:
    """Out of sight now, deleted later: removing a large file can take seconds."""
    path.rename(layout.trash / uuid.uuid4().hex)


def _delete(path: Path) -> None:
    # Another collector may be deleting the same things; what is left is the next one's.
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
