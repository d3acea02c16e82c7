"""Artifacts of any shape, written blob by blob: what strangers publish, and no packager of ours."""

import asyncio
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.mediatypes import ANNOTATION_FILEPATH, DOCKER_CONFIG_V01
from stoker.store import Store


class Layer(NamedTuple):
    """A layer by its content."""

    media_type: str
    data: bytes
    path: str = ""


def put_shape(
    store: Store,
    name: str,
    layers: Sequence[Layer],
    config: Mapping[str, Any],
    *,
    config_type: str = DOCKER_CONFIG_V01,
    artifact_type: str | None = None,
) -> Descriptor:
    """Store the artifact under a canonical name and answer its manifest's descriptor."""
    described = tuple(
        Descriptor(
            layer.media_type,
            Descriptor.of(layer.data, "").digest,
            len(layer.data),
            {ANNOTATION_FILEPATH: layer.path} if layer.path else {},
        )
        for layer in layers
    )
    raw = json.dumps(config).encode()
    manifest = Manifest(Descriptor.of(raw, config_type), described, artifact_type=artifact_type)
    document = manifest_bytes(manifest)
    root = Descriptor.of(document, manifest.media_type)

    async def put() -> None:
        async with store.lease(root.digest, *(blob.digest for blob in manifest.blobs)):
            for layer, descriptor in zip(layers, described, strict=True):
                await store.blobs.ingest_bytes(descriptor, layer.data)
            await store.blobs.ingest_bytes(manifest.config, raw)
            await store.blobs.ingest_bytes(root, document)
            store.tag(name, root)

    asyncio.run(put())
    return root


def tar_of(files: Mapping[str, bytes], **attributes: Any) -> bytes:
    """A tar of files with these names, whatever the names are; `attributes` for every member."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()
