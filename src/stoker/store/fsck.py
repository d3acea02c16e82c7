"""Checking a store, and making it whole: afterwards nothing listed misses a byte."""

import os
import uuid
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from stoker.base.errors import CorruptStore, IntegrityError, ParseError
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import MAX_METADATA, Index, index_bytes, parse_manifest
from stoker.oci.mediatypes import MANIFESTS, MODEL_CONFIGS
from stoker.store.blobs import BlobStore, hash_matches
from stoker.store.durable import disk_errors, replace_file
from stoker.store.gc import blob_files
from stoker.store.layout import Layout
from stoker.store.lock import StoreLock
from stoker.store.tags import IndexFile, name_of


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is a digest, a name or a path; `what` a sentence; `repaired` whether it is gone."""

    where: str
    what: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `bytes` were read and hashed."""

    problems: tuple[Problem, ...]
    models: int
    blobs: int
    bytes: int

    @property
    def clean(self) -> bool:
        """True when nothing is wrong, or nothing any more."""
        return all(problem.repaired for problem in self.problems)


@dataclass(frozen=True, slots=True)
class _Bad:
    digest: Digest
    inode: int
    problem: Problem


@final
class Check:
    """One run over one store."""

    def __init__(self, layout: Layout, lock: StoreLock, index: IndexFile, blobs: BlobStore) -> None:
        self._layout = layout
        self._lock = lock
        self._index = index
        self._blobs = blobs
        self._hashed = 0
        self._count: Callable[[int], None] = lambda _: None

    def run(
        self,
        *,
        deep: bool,
        repair: bool,
        only: Container[Digest] | None = None,
        hashed: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Blocks: a moment, or with `deep` 0.6 s per GB. Raises StorageError, Locked.

        `only`, a model and its blobs, is all that is looked at and counted; a repair still takes
        every model off the list that misses something. `hashed` is told of bytes as they are read.
        """
        self._count = hashed
        listed, broken = self._listed()
        if only is not None:
            listed = tuple(entry for entry in listed if entry.digest in only)
        suspects = self._suspects(listed, deep=deep, only=only)
        bad = [found for digest, path in suspects if (found := self._examine(digest, path))]
        if repair:
            with self._lock.held():
                problems = [*self._rebuild(broken), *map(self._set_aside, bad), *self._unlist()]
        else:
            problems = [*broken, *(found.problem for found in bad)]
            gone = {found.digest for found in bad}
            problems += (problem for entry in listed if (problem := self._entry(entry, gone)))
        count = sum(only is None or digest in only for digest, _ in blob_files(self._layout))
        models = len({entry.digest for entry in listed})
        return Report(tuple(problems), models, count, self._hashed)

    def _listed(self) -> tuple[tuple[Descriptor, ...], list[Problem]]:
        try:
            return self._index.read().manifests, []
        except CorruptStore as error:
            return (), [Problem("index.json", error.message)]

    def _suspects(
        self, listed: tuple[Descriptor, ...], *, deep: bool, only: Container[Digest] | None
    ) -> Iterator[tuple[Digest, Path]]:
        """What to hash: everything, or only what a manifest says has another size."""
        if deep:
            for digest, path in blob_files(self._layout):
                if only is None or digest in only:
                    yield digest, path
            return
        doubtful = dict.fromkeys(
            wanted.digest
            for entry in listed
            for wanted in (entry, *self._needs(entry))
            if not self._blobs.has(wanted)
        )
        for digest in doubtful:
            path = self._layout.blob(digest)
            if path.exists():
                yield digest, path

    def _examine(self, digest: Digest, path: Path) -> _Bad | None:
        with disk_errors("read", path):
            try:
                status = path.lstat()
            except FileNotFoundError:
                return None  # collected since we listed it
        self._hashed += status.st_size
        if hash_matches(path, digest, hashed=self._count) or not path.exists():
            return None
        return _Bad(digest, status.st_ino, Problem(digest, "the content is not what its name says"))

    def _needs(self, entry: Descriptor) -> tuple[Descriptor, ...]:
        if entry.media_type not in MANIFESTS:
            return ()
        try:
            return parse_manifest(self._blobs.read_metadata(entry)).blobs
        except (IntegrityError, ParseError):
            return ()

    def _entry(self, entry: Descriptor, gone: set[Digest]) -> Problem | None:
        """What is wrong with one line of the index."""
        where = name_of(entry) or entry.digest
        if entry.media_type not in MANIFESTS:
            return None
        try:
            manifest = parse_manifest(self._blobs.read_metadata(entry))
        except (IntegrityError, ParseError) as error:
            return Problem(where, f"its manifest cannot be used: {error.message}")
        for blob in manifest.blobs:
            if blob.digest in gone or not self._blobs.has(blob):
                return Problem(where, f"{blob.digest} is missing, damaged or of another size")
        return None

    def _set_aside(self, bad: _Bad) -> Problem:
        path = self._layout.blob(bad.digest)
        with disk_errors("set aside", path):
            try:
                # A pull may have brought a good one in the meantime.
                if path.lstat().st_ino == bad.inode:
                    path.rename(self._layout.quarantine / f"{path.name}.{uuid.uuid4().hex[:8]}")
            except FileNotFoundError:
                pass
        return replace(bad.problem, repaired=True)

    def _unlist(self) -> Iterator[Problem]:
        """Drop every line of the index whose content is not all here."""
        dropped = {
            entry: problem
            for entry in self._index.read().manifests
            if (problem := self._entry(entry, set()))
        }
        if dropped:
            self._index.change(
                lambda index: replace(
                    index, manifests=tuple(e for e in index.manifests if e not in dropped)
                )
            )
        for problem in dropped.values():
            yield replace(problem, what=f"{problem.what}; taken off the list", repaired=True)

    def _rebuild(self, broken: list[Problem]) -> Iterator[Problem]:
        """A new index of all complete models; their names are lost."""
        if not broken or not self._listed()[1]:
            return
        found = tuple(self._complete_models())
        with disk_errors("replace", self._layout.index):
            kept = self._layout.quarantine / f"index.json.{uuid.uuid4().hex[:8]}"
            os.link(self._layout.index, kept)
            data = index_bytes(Index(found))
            replace_file(self._layout.index, data, scratch=self._layout.scratch)
        for problem in broken:
            text = f"{problem.what}; {len(found)} models are listed again, without names"
            yield replace(problem, what=text, repaired=True)

    def _complete_models(self) -> Iterator[Descriptor]:
        for digest, path in blob_files(self._layout):
            size = path.stat().st_size
            if size > MAX_METADATA:
                continue
            try:
                raw = self._blobs.read_metadata(Descriptor("", digest, size))
                manifest = parse_manifest(raw)
            except (IntegrityError, ParseError):
                continue
            model = manifest.config.media_type in MODEL_CONFIGS
            if model and all(map(self._blobs.has, manifest.blobs)):
                yield Descriptor(manifest.media_type, digest, size)
