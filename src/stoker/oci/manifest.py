"""Manifests and indexes (image specification, manifest.md and image-index.md), with limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from stoker.base.errors import ParseError
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import parse_digest
from stoker.oci.mediatypes import OCI_INDEX, OCI_MANIFEST

_T = TypeVar("_T")

# The distribution specification asks registries to accept at least this much; nothing that we
# read into memory as metadata may be larger.
MAX_METADATA: Final = 4 * 1024 * 1024
# One layer per file: the largest known repositories have a few hundred files.
MAX_LAYERS: Final = 10_000
# 2^53 - 1, the largest integer that survives JSON; also far more than any disk.
MAX_SIZE: Final = 2**53 - 1


class _WireDescriptor(msgspec.Struct, rename="camel", omit_defaults=True):
    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] | None = None


class _WireManifest(msgspec.Struct, rename="camel", omit_defaults=True):
    schema_version: int
    config: _WireDescriptor
    layers: list[_WireDescriptor]
    media_type: str | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None


class _WireIndex(msgspec.Struct, rename="camel", omit_defaults=True):
    schema_version: int
    manifests: list[_WireDescriptor]
    media_type: str | None = None
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One model artifact: a config and its layers, in order."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = OCI_MANIFEST
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Everything the manifest needs, children first: config, then layers."""
        return (self.config, *self.layers)

    @property
    def size(self) -> int:
        """Bytes of the layers."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests; the `index.json` of a layout is one."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse_manifest(data: bytes) -> Manifest:
    """Decode and check a manifest. Raises ParseError."""
    wire = _decode(data, _WireManifest, "manifest")
    if wire.schema_version != 2:
        raise ParseError(f"manifest: schemaVersion {wire.schema_version}, wanted 2")
    if len(wire.layers) > MAX_LAYERS:
        raise ParseError(f"manifest: {len(wire.layers)} layers, at most {MAX_LAYERS} are read")
    return Manifest(
        config=_descriptor(wire.config, "manifest.config"),
        layers=tuple(_descriptor(w, f"manifest.layers[{i}]") for i, w in enumerate(wire.layers)),
        media_type=wire.media_type or OCI_MANIFEST,
        artifact_type=wire.artifact_type,
        annotations=MappingProxyType(wire.annotations or {}),
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    """The one encoding of a manifest that Stoker writes; equal manifests give equal digests."""
    wire: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest.media_type}
    if manifest.artifact_type:
        wire["artifactType"] = manifest.artifact_type
    wire["config"] = _wire(manifest.config)
    wire["layers"] = [_wire(layer) for layer in manifest.layers]
    if manifest.annotations:
        wire["annotations"] = dict(sorted(manifest.annotations.items()))
    return msgspec.json.encode(wire)


def parse_index(data: bytes) -> Index:
    """Decode and check an index. Raises ParseError."""
    wire = _decode(data, _WireIndex, "index")
    if wire.schema_version != 2:
        raise ParseError(f"index: schemaVersion {wire.schema_version}, wanted 2")
    return Index(
        tuple(_descriptor(w, f"index.manifests[{i}]") for i, w in enumerate(wire.manifests)),
        MappingProxyType(wire.annotations or {}),
    )


def index_bytes(index: Index) -> bytes:
    """Encode an index; people read this file, hence the indentation."""
    wire: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_wire(manifest) for manifest in index.manifests],
    }
    if index.annotations:
        wire["annotations"] = dict(sorted(index.annotations.items()))
    return msgspec.json.format(msgspec.json.encode(wire), indent=2) + b"\n"


def _decode(data: bytes, kind: type[_T], what: str) -> _T:
    if len(data) > MAX_METADATA:
        raise ParseError(f"{what}: {len(data)} bytes, at most {MAX_METADATA} are read")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"{what}: {error}") from error


def _descriptor(wire: _WireDescriptor, where: str) -> Descriptor:
    if not 0 <= wire.size <= MAX_SIZE:
        raise ParseError(f"{where}: impossible size {wire.size}")
    try:
        digest = parse_digest(wire.digest)
    except ParseError as error:
        raise ParseError(f"{where}: {error.message}") from error
    return Descriptor(wire.media_type, digest, wire.size, MappingProxyType(wire.annotations or {}))


def _wire(descriptor: Descriptor) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.annotations:
        wire["annotations"] = dict(sorted(descriptor.annotations.items()))
    return wire
