"""Put any file into a store as a model, also one that no honest packager would accept."""

import asyncio
from pathlib import Path

from stoker.distribution.package import Artifact, artifact_of_layers, file_layer
from stoker.distribution.pull import store_artifact
from stoker.oci import mediatypes as mt
from stoker.oci.modelconfig import ModelConfig
from stoker.oci.reference import parse_reference
from stoker.store import Store


def raw_artifact(path: Path, media_type: str = mt.DOCKER_GGUF, kind: str = "gguf") -> Artifact:
    """An artifact whose only layer is this file, whatever is in it."""
    layer = file_layer(path, media_type)
    return artifact_of_layers([(layer, path)], ModelConfig(format=kind))


def put_model(models: Path, path: Path, name: str) -> None:
    """Store the file under this name; a running daemon sees it at once."""
    store = Store.open(models)
    asyncio.run(store_artifact(store, raw_artifact(path), parse_reference(name)))
