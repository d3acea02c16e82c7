"""Small models to put into a store."""

from dataclasses import dataclass

from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest, manifest_bytes
from stoker.oci.mediatypes import DOCKER_CONFIG_V01, DOCKER_GGUF
from stoker.store import Store
from tests.components.memory_content import MemoryContent

CONFIG = b"{}"


@dataclass(frozen=True)
class Model:
    """A model with all its bytes."""

    manifest: Manifest
    layers: tuple[bytes, ...]

    @property
    def document(self) -> bytes:
        return manifest_bytes(self.manifest)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor.of(self.document, self.manifest.media_type)

    @property
    def content(self) -> MemoryContent:
        source = MemoryContent(chunk=4096)
        for data in (CONFIG, self.document, *self.layers):
            source.add(data)
        return source


def model(*layers: bytes) -> Model:
    config = Descriptor.of(CONFIG, DOCKER_CONFIG_V01)
    described = tuple(Descriptor.of(layer, DOCKER_GGUF) for layer in layers)
    return Model(Manifest(config, described), layers)


async def put_model(store: Store, of: Model, *names: str) -> Model:
    async with store.lease(of.descriptor.digest, *(b.digest for b in of.manifest.blobs)):
        await store.blobs.ingest_bytes(of.manifest.config, CONFIG)
        for descriptor, data in zip(of.manifest.layers, of.layers, strict=True):
            await store.blobs.ingest_bytes(descriptor, data)
        await store.blobs.ingest_bytes(of.descriptor, of.document)
        for name in names:
            store.tag(name, of.descriptor)
    return of
