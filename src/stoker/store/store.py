"""The store: models as an OCI Image Layout on disk, safe for several processes at once."""

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Self, final

from stoker.base.errors import CorruptStore, ModelNotFound, UnsupportedFormat
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Index, Manifest, parse_manifest
from stoker.oci.mediatypes import MANIFESTS
from stoker.store import tags
from stoker.store.blobs import BlobStore
from stoker.store.durable import disk_errors, disk_usage
from stoker.store.fsck import Check, Report
from stoker.store.gc import Collected, collect, discard
from stoker.store.layout import Layout, open_layout
from stoker.store.leases import DURATION, Lease
from stoker.store.lock import TIMEOUT, StoreLock
from stoker.store.tags import Entry, IndexFile
from stoker.store.views import build_view, find_view


@final
class Store:
    """One directory of models.

    Methods block: reads for microseconds, changes for one or two `fsync` (milliseconds on an SSD)
    and at most `lock_timeout` seconds when another process is stuck in a change. `gc`, `fsck`,
    `disk_usage` and `purge` take as long as the store is large: call them in a thread. Nothing is
    kept open between calls.
    """

    def __init__(self, layout: Layout, *, lock_timeout: float = TIMEOUT) -> None:
        self._layout = layout
        self._lock = StoreLock(layout.lock, timeout=lock_timeout)
        self._index = IndexFile(layout)
        self.blobs = BlobStore(layout, self._index)

    @classmethod
    def open(cls, root: Path, *, lock_timeout: float = TIMEOUT) -> Self:
        """Create the store, or open the one that is there.

        Raises StorageError for a directory that is something else or cannot be written,
        CorruptStore, UnsupportedFormat.
        """
        return cls(open_layout(root), lock_timeout=lock_timeout)

    @property
    def root(self) -> Path:
        return self._layout.root

    def entries(self) -> tuple[Entry, ...]:
        """The models that are here, each with its names. 3 µs when nothing has changed."""
        return self._index.entries()

    def manifest(self, digest: Digest) -> Manifest:
        """Read a listed manifest. Raises ModelNotFound, CorruptStore."""
        for entry in self.entries():
            if entry.manifest.digest == digest:
                return parse_manifest(self.blobs.read_metadata(entry.manifest))
        raise ModelNotFound(f"no model {digest} here", hint="stoker list --digests")

    def tag(self, name: str, manifest: Descriptor) -> None:
        """Give the manifest this name; whatever had it before loses it.

        Everything the manifest needs must be here already, so that nothing listed is incomplete.
        Raises CorruptStore, ParseError, UnsupportedFormat, Locked, StorageError.
        """
        with self._lock.held():
            self._check_complete(manifest)
            self._index.change(lambda index: tags.tagged(index, name, manifest))

    def add(self, manifest: Descriptor) -> None:
        """List a model without a name, unless it is listed already. As complete as for `tag`."""
        with self._lock.held():
            self._check_complete(manifest)
            if all(entry.manifest.digest != manifest.digest for entry in self.entries()):
                self._index.change(lambda index: tags.tagged(index, "", manifest))

    def untag(self, name: str) -> Descriptor:
        """Take a name away and answer whose it was; the model stays. Raises ModelNotFound."""
        with self._lock.held():
            for entry in self.entries():
                if name in entry.names:
                    self._index.change(lambda index: tags.untagged(index, name))
                    return entry.manifest
        raise ModelNotFound(f"no model is called {name}")

    def remove(self, digest: Digest) -> tuple[str, ...]:
        """Take a model off the list and answer its names; `gc` frees the space.

        Raises ModelNotFound.
        """
        with self._lock.held():
            for entry in self.entries():
                if entry.manifest.digest == digest:
                    self._index.change(lambda index: tags.removed(index, digest))
                    return entry.names
        raise ModelNotFound(f"no model {digest} here", hint="stoker list --digests")

    def lease(self, *digests: Digest, duration: float = DURATION) -> Lease:
        """Keep this content, and what a manifest among it needs, from `gc` during a block.

        When the block fails or its process dies, the lease lasts `duration` seconds in all.
        """
        return Lease(self._layout, self._lock, digests, duration)

    def view(
        self,
        manifest: Digest,
        files: Sequence[tuple[str, Descriptor]],
        archives: Sequence[Descriptor] = (),
        *,
        code: bool = False,
    ) -> Path:
        """A directory with these files under these relative names, for an engine.

        What is in `archives`, layers of tar, is unpacked beside them. `code`: there are programs
        among the files, so it is another directory, which only who may run them is given. Raises
        UnsupportedFormat for names that lead elsewhere or collide and for what no archive should
        have, ParseError, CorruptStore.
        """
        place = self._layout.view(manifest, code=code)
        found = find_view(self._layout, place, files, archives)
        if found:
            return found
        layers = [*(descriptor for _, descriptor in files), *archives]
        with self.lease(manifest, *(layer.digest for layer in layers)):
            return build_view(self._layout, self._lock, place, files, archives)

    def drop_code(self, manifest: Digest) -> None:
        """Take the view away in which the programs of this model lie; its content stays."""
        place = self._layout.view(manifest, code=True)
        with self._lock.held(), disk_errors("remove", place):
            if place.exists():
                discard(self._layout, place)

    def gc(self) -> Collected:
        """Remove what nothing names and no lease keeps. Raises CorruptStore, Locked."""
        return collect(self._layout, self._lock, self._index, everything=False)

    def purge(self) -> Collected:
        """Remove every model, and all that no living process is working on."""
        with self._lock.held():
            self._index.change(lambda _: Index(()))
        return collect(self._layout, self._lock, self._index, everything=True)

    def fsck(
        self,
        *,
        deep: bool = False,
        repair: bool = False,
        only: Container[Digest] | None = None,
        hashed: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Check the structure, with `deep` every byte; `repair` sets bad content aside.

        `only` limits what `deep` reads; `hashed` is told of bytes as they are read. After a repair
        nothing listed misses a byte. Raises StorageError, Locked.
        """
        check = Check(self._layout, self._lock, self._index, self.blobs)
        return check.run(deep=deep, repair=repair, only=only, hashed=hashed)

    def disk_usage(self) -> int:
        """Bytes of all files; a blob and its names in views count once. Raises StorageError."""
        return disk_usage(self.root)

    def _check_complete(self, manifest: Descriptor) -> None:
        if manifest.media_type not in MANIFESTS:
            raise UnsupportedFormat(f"{manifest.media_type} is not a manifest that can be named")
        parsed = parse_manifest(self.blobs.read_metadata(manifest))
        missing = [blob for blob in parsed.blobs if not self.blobs.has(blob)]
        if missing:
            raise CorruptStore(
                f"{manifest.digest} is incomplete: {len(missing)} of {len(parsed.blobs)} blobs"
                f" are missing, among them {missing[0].digest}",
                hint="pull the model again",
            )
