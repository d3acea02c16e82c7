"""An artifact on its way into a store: metadata as bytes, layers as files on disk."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.modelconfig import ModelConfig, docker_config_bytes
from stoker.oci.reference import Reference
from stoker.store import Adoption, Stamp, Store


@dataclass(frozen=True, slots=True)
class FileLayer:
    """A layer and the file it was made of; `stamp` is what the file looked like when hashed."""

    descriptor: Descriptor
    path: Path
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Artifact:
    """`files` lacks the layers that are in the store already."""

    manifest: Manifest
    config: bytes
    files: Mapping[Digest, FileLayer]
    raw: bytes | None = None
    """The manifest as somebody else wrote it."""

    @property
    def document(self) -> bytes:
        """The manifest's bytes: its own, or our one encoding."""
        return manifest_bytes(self.manifest) if self.raw is None else self.raw

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's; its digest is the model's id."""
        return Descriptor.of(self.document, self.manifest.media_type)


def artifact_of_layers(
    layers: Sequence[FileLayer], config: ModelConfig, config_type: str = mt.DOCKER_CONFIG_V01
) -> Artifact:
    """Docker's manifest and config around these layers, in this order."""
    descriptors = tuple(layer.descriptor for layer in layers)
    # Layers are never compressed: what a registry stores is what an engine reads.
    config = replace(config, diff_ids=tuple(d.digest for d in descriptors))
    document = docker_config_bytes(config)
    manifest = Manifest(Descriptor.of(document, config_type), descriptors)
    return Artifact(manifest, document, {layer.descriptor.digest: layer for layer in layers})


async def store_artifact(
    store: Store, artifact: Artifact, reference: Reference | None, *, share: bool = False
) -> frozenset[Adoption]:
    """Put an artifact into the store and name it: children before the manifest, the name last.

    With `share` files become blobs without being copied where the disk allows it (and read-only:
    see `store/adopt`). Without a reference the model is listed nameless. Raises StorageError,
    IntegrityError.
    """
    manifest = artifact.manifest
    ways: set[Adoption] = set()
    async with store.lease(*(blob.digest for blob in manifest.blobs), artifact.descriptor.digest):
        for layer in manifest.layers:
            file = artifact.files.get(layer.digest)
            if file is None:
                continue
            if share:
                ways.add(await store.blobs.adopt_file(file.path, file.stamp, layer))
            else:
                await store.blobs.ingest_file(file.path, layer)
        await store.blobs.ingest_bytes(manifest.config, artifact.config)
        await store.blobs.ingest_bytes(artifact.descriptor, artifact.document)
        if reference:
            await asyncio.to_thread(store.tag, str(reference.tagged), artifact.descriptor)
        else:
            await asyncio.to_thread(store.add, artifact.descriptor)
    return frozenset(ways)
