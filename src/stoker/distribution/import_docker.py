"""Models in Docker Model Runner's store: models.json, manifests/…, blobs/sha256/<hex>."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from stoker.base.errors import DigestMismatch
from stoker.distribution.artifact import Artifact, FileLayer
from stoker.distribution.found import Found, Unusable, decode, each, read, reference, reference_of
from stoker.distribution.layers import Hashed, file_layer
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, parse_digest, split_digest
from stoker.oci.manifest import parse_manifest
from stoker.oci.modelconfig import check_config_type


class _Model(msgspec.Struct):
    id: str
    tags: list[str] | None = None

    def __str__(self) -> str:
        return self.tags[0] if self.tags else self.id


class _Index(msgspec.Struct):
    models: list[_Model]


def docker_store(folder: Path) -> Iterator[Found | Unusable]:
    """Every model of the index; each keeps its id and its names."""
    index = decode(folder / "models.json", _Index)
    return each(index.models, lambda model: _found(folder, model))


def _found(folder: Path, model: _Model) -> Iterator[Found]:
    digest = parse_digest(model.id)
    raw = read(folder / "manifests" / Path(*split_digest(digest)))
    if Descriptor.of(raw, "").digest != digest:
        raise DigestMismatch(f"{folder}: the manifest {digest} is damaged")
    manifest = parse_manifest(raw)
    check_config_type(manifest.config.media_type)
    bare = reference(f"model-{split_digest(digest)[1][:12]}")
    name, *aliases = [reference_of(tag, "model") for tag in model.tags or ()] or [bare]
    yield Found(name, manifest.size, _builder(folder, raw), aliases=tuple(aliases))


def _builder(folder: Path, raw: bytes) -> Callable[[Hashed], Artifact]:
    def make(hashed: Hashed) -> Artifact:
        manifest = parse_manifest(raw)
        files = dict(_layers(folder, manifest.layers, hashed))
        config = read(_blob(folder, manifest.config.digest))
        if Descriptor.of(config, "").digest != manifest.config.digest:
            raise DigestMismatch(f"{folder}: the config {manifest.config.digest} is damaged")
        return Artifact(manifest, config, files, raw)

    return make


def _layers(
    folder: Path, layers: Iterable[Descriptor], hashed: Hashed
) -> Iterator[tuple[Digest, FileLayer]]:
    for layer in layers:
        path = _blob(folder, layer.digest)
        read = file_layer(path, layer.media_type, hashed=hashed)
        if read.descriptor.digest != layer.digest:
            raise DigestMismatch(
                f"{path} is not what its name says: it was damaged there",
                hint="pull that model again with docker model",
            )
        yield layer.digest, replace(read, descriptor=layer)


def _blob(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / Path(*split_digest(digest))
