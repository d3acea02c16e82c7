"""Where things are in a store. The outer part is an OCI Image Layout that any tool may read.

oci-layout            {"imageLayoutVersion":"1.0.0"}
index.json            the manifests that are here, one entry for each name
blobs/sha256/<hex>    content, read-only
.stoker/              what is only ours: see the properties below
"""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import CorruptStore, StorageError, UnsupportedFormat
from stoker.oci.digest import Digest, split_digest
from stoker.oci.manifest import Index, index_bytes
from stoker.store.durable import disk_errors, replace_file, sync_directory

LAYOUT_VERSION: Final = "1.0.0"
WITH_CODE: Final = "-code"
"""How the names of views end in which a model's own programs lie."""
_ALGORITHMS: Final = ("sha256", "sha512")
# `oci-layout` holds one short object; anything longer is something else.
_MAX_MARKER: Final = 4096


class _Marker(msgspec.Struct, rename="camel"):
    image_layout_version: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store. Digests are checked strings, so a path cannot lead outside."""

    root: Path

    @property
    def marker(self) -> Path:
        return self.root / "oci-layout"

    @property
    def index(self) -> Path:
        return self.root / "index.json"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def private(self) -> Path:
        return self.root / ".stoker"

    @property
    def lock(self) -> Path:
        """Held while the index changes, a lease begins or garbage is chosen: milliseconds."""
        return self.private / "lock"

    @property
    def partials(self) -> Path:
        """Content on its way in, each file named after its digest and locked by its writer."""
        return self.private / "ingest"

    @property
    def leases(self) -> Path:
        return self.private / "leases"

    @property
    def views(self) -> Path:
        return self.private / "views"

    @property
    def quarantine(self) -> Path:
        """Bytes that were not what their digest says; kept for whoever wants to know why."""
        return self.private / "quarantine"

    @property
    def trash(self) -> Path:
        """Garbage on its way out; nothing in it is ever looked up again."""
        return self.private / "trash"

    @property
    def scratch(self) -> Path:
        """Small files before they are renamed to where they belong."""
        return self.private / "tmp"

    def blob(self, digest: Digest) -> Path:
        """Where this content is, or would be."""
        algorithm, encoded = split_digest(digest)
        return self.blobs / algorithm / encoded

    def partial(self, digest: Digest) -> Path:
        """Where this content collects until it is whole."""
        return self.partials / "-".join(split_digest(digest))

    def view(self, manifest: Digest, *, code: bool = False) -> Path:
        """The directory with the human names of one model's files; apart from it, with its code."""
        return self.views / f"{split_digest(manifest)[1]}{WITH_CODE if code else ''}"


def open_layout(root: Path) -> Layout:
    """Create the layout, or check the one that is there.

    Raises StorageError when the directory is something else or cannot be written, CorruptStore,
    UnsupportedFormat.
    """
    layout = Layout(root.absolute())
    with disk_errors("open the model store", layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in layout.root.iterdir()}
    if names and not names & {"oci-layout", ".stoker"}:
        raise StorageError(
            f"{layout.root} is not empty and not a model store",
            hint="set MODELS_PATH to an empty directory or to an existing store",
        )
    if layout.marker.exists():
        _check_marker(layout.marker)
    _ensure(layout)
    return layout


def _check_marker(marker: Path) -> None:
    with disk_errors("read", marker), marker.open("rb") as file:
        data = file.read(_MAX_MARKER)
    try:
        version = msgspec.json.decode(data, type=_Marker).image_layout_version
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptStore(
            f"{marker} is damaged: {error}",
            hint=f'it should read {{"imageLayoutVersion":"{LAYOUT_VERSION}"}}',
        ) from error
    if version != LAYOUT_VERSION:
        raise UnsupportedFormat(
            f"{marker}: layout version {version[:20]!a}, this program reads {LAYOUT_VERSION}",
            hint="upgrade stoker",
        )


def _ensure(layout: Layout) -> None:
    """Every directory and file that is missing. `.stoker` first: it marks the directory as ours."""
    with disk_errors("set up the model store", layout.root):
        # Nobody but the owner has business in here; blobs are as readable as the root allows.
        layout.private.mkdir(mode=0o700, exist_ok=True)
        for directory in (
            layout.partials, layout.leases, layout.views, layout.quarantine,
            layout.trash, layout.scratch,
        ):  # fmt: skip
            directory.mkdir(exist_ok=True)
        for algorithm in _ALGORITHMS:
            (layout.blobs / algorithm).mkdir(parents=True, exist_ok=True)
        if not layout.index.exists():
            _create(layout, layout.index, index_bytes(Index(())))
        if not layout.marker.exists():
            marker = msgspec.json.encode({"imageLayoutVersion": LAYOUT_VERSION})
            _create(layout, layout.marker, marker)
            sync_directory(layout.root)


def _create(layout: Layout, target: Path, data: bytes) -> None:
    """Write a file unless another process was faster: its index may already list models."""
    whole = layout.scratch / f"{target.name}.{uuid.uuid4().hex}"
    replace_file(whole, data, scratch=layout.scratch)
    try:
        os.link(whole, target)
    except FileExistsError:
        pass
    except OSError:
        # No hard links here (exFAT, some network disks): the window is a few microseconds.
        if not target.exists():
            replace_file(target, data, scratch=layout.scratch)
    finally:
        whole.unlink(missing_ok=True)
