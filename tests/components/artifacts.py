"""Put any file into a store as a model, also one that no honest packager would accept."""

import asyncio
import hashlib
from pathlib import Path

from stoker.distribution.artifact import (
    Artifact,
    FileLayer,
    artifact_of_layers,
    store_artifact,
)
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.modelconfig import ModelConfig
from stoker.oci.reference import parse_reference
from stoker.store import Stamp, Store


def raw_artifact(path: Path, media_type: str = mt.DOCKER_GGUF, kind: str = "gguf") -> Artifact:
    """An artifact whose only layer is this file, whatever is in it."""
    return artifact_of_layers([_layer(path, media_type)], ModelConfig(format=kind))


def put_model(models: Path, path: Path, name: str) -> None:
    """Store the file under this name; a running daemon sees it at once."""
    store = Store.open(models)
    asyncio.run(store_artifact(store, raw_artifact(path), parse_reference(name)))


def put_safetensors(models: Path, folder: Path, name: str) -> None:
    """The same for a directory with `*.safetensors` and the files around them."""
    layers = [
        _layer(
            path,
            mt.DOCKER_SAFETENSORS if path.suffix == ".safetensors" else mt.DOCKER_MODEL_FILE,
        )
        for path in sorted(folder.iterdir())
    ]
    artifact = artifact_of_layers(layers, ModelConfig(format="safetensors"))
    asyncio.run(store_artifact(Store.open(models), artifact, parse_reference(name)))


def _layer(path: Path, media_type: str) -> FileLayer:
    stamp = Stamp.of(path.stat())
    with path.open("rb") as file:
        digest = Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
    named = Descriptor(media_type, digest, stamp.size, {mt.ANNOTATION_FILEPATH: path.name})
    return FileLayer(named, path, stamp)
