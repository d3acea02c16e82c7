"""Names: which manifest each of them means. They live in `index.json` and nowhere else.

An entry with the annotation `org.opencontainers.image.ref.name` is one name of one manifest; a
manifest without names is one entry without it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, final

from stoker.base.errors import CorruptStore, ParseError
from stoker.base.turn import Turn
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import MAX_METADATA, Index, index_bytes, parse_index
from stoker.oci.mediatypes import ANNOTATION_REF_NAME, MANIFESTS
from stoker.store.durable import disk_errors, replace_file, storage_error
from stoker.store.layout import Layout

# A file changed this recently may change again without a new time stamp (ext4 counts in ticks of
# 4 ms and reuses inode numbers): what was read from it is not remembered. Nanoseconds.
_SETTLED: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One model: its manifest, and its names in the order they were given."""

    manifest: Descriptor
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    stamp: tuple[int, int, int]
    index: Index
    entries: tuple[Entry, ...]


def name_of(entry: Descriptor) -> str:
    """The name an index entry gives, or nothing."""
    return entry.annotations.get(ANNOTATION_REF_NAME, "")


def entries_of(index: Index) -> tuple[Entry, ...]:
    """The models of an index, in its order."""
    bare: dict[Digest, Descriptor] = {}
    names: dict[Digest, list[str]] = {}
    for listed in index.manifests:
        if listed.media_type not in MANIFESTS:
            continue
        bare.setdefault(listed.digest, _named(listed, ""))
        found = names.setdefault(listed.digest, [])
        if name_of(listed):
            found.append(name_of(listed))
    return tuple(Entry(bare[digest], tuple(found)) for digest, found in names.items())


def tagged(index: Index, name: str, manifest: Descriptor) -> Index:
    """The name moves to this manifest. One that loses its last name stays, without a name."""
    kept = _without_name(index.manifests, name)
    kept = [e for e in kept if name_of(e) or e.digest != manifest.digest]
    return replace(index, manifests=(*kept, _named(manifest, name)))


def untagged(index: Index, name: str) -> Index:
    """The name is gone; its manifest stays, without a name if this was its last."""
    return replace(index, manifests=tuple(_without_name(index.manifests, name)))


def removed(index: Index, digest: Digest) -> Index:
    """The manifest is gone, with all its names."""
    return replace(index, manifests=tuple(e for e in index.manifests if e.digest != digest))


def _without_name(entries: tuple[Descriptor, ...], name: str) -> list[Descriptor]:
    kept: list[Descriptor] = []
    for entry in entries:
        if name_of(entry) != name:
            kept.append(entry)
        elif not any(e.digest == entry.digest and name_of(e) != name for e in entries):
            kept.append(_named(entry, ""))
    return kept


def _named(descriptor: Descriptor, name: str) -> Descriptor:
    annotations = {k: v for k, v in descriptor.annotations.items() if k != ANNOTATION_REF_NAME}
    if name:
        annotations[ANNOTATION_REF_NAME] = name
    return replace(descriptor, annotations=MappingProxyType(annotations))


@final
class IndexFile:
    """`index.json`, remembered as long as the file does not change."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = str(layout.index)
        self._last: _Read | None = None
        self._turn = Turn()

    def read(self) -> Index:
        """Raises CorruptStore, StorageError."""
        return self._current().index

    def entries(self) -> tuple[Entry, ...]:
        """The models; 3 µs when nothing has changed. Raises CorruptStore, StorageError."""
        return self._current().entries

    def change(self, edit: Callable[[Index], Index]) -> None:
        """Read, edit, replace. The caller holds the store's lock. Raises StorageError."""
        before = self._load().index
        after = edit(before)
        if after == before:
            return
        with disk_errors("write", self._layout.index):
            replace_file(self._layout.index, index_bytes(after), scratch=self._layout.scratch)
            self._last = None

    def _current(self) -> _Read:
        last = self._last
        if last and not self._turn.first():
            return last
        self._last = None  # until it could be read
        try:
            found = os.stat(self._path)  # noqa: PTH116  # the warm path: half the time of Path.stat
        except OSError as error:
            raise storage_error(error, "read", self._layout.index) from error
        if last and last.stamp == (found.st_mtime_ns, found.st_ino, found.st_size):
            self._last = last
            return last
        return self._load()

    def _load(self) -> _Read:
        with disk_errors("read", self._layout.index), self._layout.index.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_METADATA + 1)
        try:
            index = parse_index(data)
        except ParseError as error:
            raise CorruptStore(
                f"{self._layout.index} is damaged: {error.message}",
                hint="`stoker verify --repair` lists again what is complete",
            ) from error
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        result = _Read(stamp, index, entries_of(index))
        settled = time.time_ns() - status.st_mtime_ns > _SETTLED
        self._last = result if settled else None
        return result
