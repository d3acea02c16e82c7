"""Files become an artifact: facts from their headers, a config, a manifest.

Equal files and an equal `created` give an equal digest.
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from stoker.base.errors import ModelNotFound, ParseError, StorageError
from stoker.formats.gguf import GgufHeader, gguf_header
from stoker.formats.gguffacts import facts_of_gguf
from stoker.formats.need import run
from stoker.formats.quant import shard_names
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.modelconfig import ModelConfig, docker_config_bytes
from stoker.planner.describe import model_config_of

_CHUNK: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model on its way into a store: metadata as bytes, layers as files on disk."""

    manifest: Manifest
    config: bytes
    files: dict[Digest, Path]

    @property
    def document(self) -> bytes:
        """The manifest's one encoding."""
        return manifest_bytes(self.manifest)

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's; its digest is the model's id."""
        return Descriptor.of(self.document, self.manifest.media_type)


async def gguf_artifact(first: Path, *, created: str) -> Artifact:
    """The artifact of a GGUF model, from its only file or its first shard.

    `created` is RFC 3339. Raises ModelNotFound when a file is missing, ParseError when it is not a
    whole GGUF, StorageError when it cannot be read.
    """
    return await asyncio.to_thread(_gguf_artifact, first, created)


def _gguf_artifact(first: Path, created: str) -> Artifact:
    paths = [first.with_name(name) for name in shard_names(first.name)]
    facts = facts_of_gguf(*(read_gguf(path) for path in paths))
    layers = [(file_layer(path, mt.DOCKER_GGUF), path) for path in paths]
    return artifact_of_layers(layers, replace(model_config_of(facts), created=created))


def artifact_of_layers(
    layers: Sequence[tuple[Descriptor, Path]],
    config: ModelConfig,
    config_type: str = mt.DOCKER_CONFIG_V01,
) -> Artifact:
    """Manifest and config around these layers, in this order."""
    descriptors = tuple(descriptor for descriptor, _ in layers)
    # Layers are never compressed: what a registry stores is what an engine reads.
    config = replace(config, diff_ids=tuple(d.digest for d in descriptors))
    document = docker_config_bytes(config)
    manifest = Manifest(Descriptor.of(document, config_type), descriptors)
    return Artifact(manifest, document, {d.digest: path for d, path in layers})


def read_gguf(path: Path) -> GgufHeader:
    """The header of a GGUF file; also checks that the file is as long as its header says."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            parser = gguf_header(file_size=size)
            return run(parser, lambda offset, length: os.pread(file.fileno(), length, offset))
    except FileNotFoundError as error:
        raise ModelNotFound(f"{path}: no such file") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    except ParseError as error:
        raise ParseError(
            f"{path}: {error.message}", offset=error.offset, hint=error.hint
        ) from error


def file_layer(path: Path, media_type: str) -> Descriptor:
    """The descriptor of a file, named after it. Reads all of it. Raises StorageError."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    return Descriptor(
        media_type,
        Digest(f"sha256:{digest.hexdigest()}"),
        size,
        {mt.ANNOTATION_FILEPATH: path.name, mt.ANNOTATION_MEDIATYPE_UNTESTED: "false"},
    )
