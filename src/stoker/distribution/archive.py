"""Models as one tar file: writing. `loading` reads them.

Two forms. An OCI image layout (`oci-layout`, `index.json`, `blobs/`) holds any number of models
with their names, each blob once; other tools read it as `oci-archive:`. Docker Model Runner's own
form (`blobs/`, then `manifest.json`) holds one model without a name.
"""

import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import CorruptStore, StorageError
from stoker.distribution.artifact import Artifact
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, split_digest
from stoker.oci.manifest import Index, index_bytes
from stoker.oci.mediatypes import ANNOTATION_REF_NAME
from stoker.store import Store

LAYOUT: Final = "oci-layout"
INDEX: Final = "index.json"
MANIFEST: Final = "manifest.json"
BLOBS: Final = "blobs"

_CHUNK: Final = 1024 * 1024
_BLOCK: Final = tarfile.BLOCKSIZE
# "At the end of the archive there are two 512-byte blocks filled with binary zeros."
_END: Final = 2 * _BLOCK


@dataclass(frozen=True, slots=True)
class Part:
    """A member: bytes at hand, or a file; a directory when it has neither. `size` in bytes."""

    name: str
    size: int = 0
    content: bytes | Path | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A model to be written, under these names."""

    manifest: Descriptor
    names: tuple[str, ...] = ()


def layout_parts(store: Store, models: Sequence[Saved]) -> list[Part]:
    """An OCI layout of these models: small things first, so that a reader soon knows what comes.

    Raises ModelNotFound, CorruptStore. The caller holds a lease until all is written.
    """
    marker = msgspec.json.encode({"imageLayoutVersion": "1.0.0"})
    listed = tuple(
        replace(model.manifest, annotations={ANNOTATION_REF_NAME: name} if name else {})
        for model in models
        for name in model.names or ("",)
    )
    index = index_bytes(Index(listed))
    parts = [
        Part(LAYOUT, len(marker), marker), Part(INDEX, len(index), index), *_directories()
    ]  # fmt: skip
    manifests = {model.manifest.digest: model.manifest for model in models}
    blobs = [store.manifest(digest) for digest in manifests]
    configs = [manifest.config for manifest in blobs]
    layers = [layer for manifest in blobs for layer in manifest.layers]
    return [*parts, *_blobs(store, [*manifests.values(), *configs, *layers])]


def export_parts(store: Store, model: Descriptor) -> list[Part]:
    """Docker Model Runner's form of one model. Raises as `layout_parts`."""
    manifest = store.manifest(model.digest)
    raw = store.blobs.read_metadata(model)
    blobs = _blobs(store, [*manifest.layers, manifest.config])
    return [*_directories(), *blobs, Part(MANIFEST, len(raw), raw)]


def artifact_parts(artifact: Artifact) -> list[Part]:
    """The same form of files that are in no store: what a service on another machine loads."""
    parts = _directories()
    manifest, document = artifact.manifest, artifact.document
    for digest, layer in artifact.files.items():
        parts.append(Part(_blob_name(digest), layer.descriptor.size, layer.path))
    parts.append(Part(_blob_name(manifest.config.digest), len(artifact.config), artifact.config))
    return [*parts, Part(MANIFEST, len(document), document)]


def archive_size(parts: Iterable[Part]) -> int:
    """Bytes of the whole archive."""
    return sum(len(_header(part)) + part.size + -part.size % _BLOCK for part in parts) + _END


def archive_chunks(parts: Iterable[Part]) -> Iterator[bytes]:
    """The archive, piece by piece; equal parts give equal bytes. Blocks for reading files.

    Raises CorruptStore when a file has another length than it should, StorageError.
    """
    for part in parts:
        yield _header(part)
        if isinstance(part.content, Path):
            yield from _file(part.content, part.size)
        elif part.content:
            yield part.content
        if part.size % _BLOCK:
            yield bytes(-part.size % _BLOCK)
    yield bytes(_END)


def _directories() -> list[Part]:
    return [Part(BLOBS), Part(f"{BLOBS}/sha256")]


def _blobs(store: Store, wanted: Iterable[Descriptor]) -> Iterator[Part]:
    """Each once, in this order."""
    for digest, descriptor in {one.digest: one for one in wanted}.items():
        if not store.blobs.has(descriptor):
            raise CorruptStore(
                f"{digest} is not here in full length",
                hint="`stoker verify --repair`, then pull the model again",
            )
        yield Part(_blob_name(digest), descriptor.size, store.blobs.path_of(digest))


def _blob_name(digest: Digest) -> str:
    return "/".join((BLOBS, *split_digest(digest)))


def _header(part: Part) -> bytes:
    """No owner, no time: the same models make the same file."""
    info = tarfile.TarInfo(part.name)
    info.size = part.size
    info.mode = 0o644
    if part.content is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    # GNU's large sizes are read by everybody, and need no second header.
    return info.tobuf(tarfile.GNU_FORMAT)


def _file(path: Path, size: int) -> Iterator[bytes]:
    left = size
    try:
        with path.open("rb", buffering=0) as file:
            while left and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    if left:
        raise CorruptStore(f"{path} is {left} bytes shorter than it should be")
