"""A manifest on its way into a registry: one PUT, after everything it names is there."""

from typing import final

from stoker.base.errors import DigestMismatch, RegistryError, SizeMismatch
from stoker.net.request import Request
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import hasher_for, split_digest
from stoker.oci.manifest import MAX_METADATA
from stoker.registry.endpoint import Endpoint, failure_of
from stoker.registry.errand import Errand


@final
class ManifestUpload:
    """An Ingest that publishes under `name`, a tag or digest, at `commit`."""

    def __init__(
        self,
        endpoint: Endpoint,
        errand: Errand,
        *,
        repository: str,
        name: str,
        descriptor: Descriptor,
    ) -> None:
        self._endpoint = endpoint
        self._errand = errand
        self._path = f"{repository}/manifests/{name}"
        self._descriptor = descriptor
        self._buffer = bytearray()

    @property
    def offset(self) -> int:
        return len(self._buffer)

    async def write(self, chunk: bytes) -> None:
        size = min(self._descriptor.size, MAX_METADATA)
        if len(self._buffer) + len(chunk) > size:
            raise SizeMismatch(f"more than the {size} bytes of manifest {self._descriptor.digest}")
        self._buffer += chunk

    async def restart(self) -> None:
        self._buffer.clear()

    async def commit(self) -> None:
        descriptor, data = self._descriptor, bytes(self._buffer)
        if len(data) != descriptor.size:
            raise SizeMismatch(
                f"manifest {descriptor.digest}: {len(data)} bytes, wanted {descriptor.size}"
            )
        hasher = hasher_for(descriptor.digest)
        hasher.update(data)
        if hasher.hexdigest() != split_digest(descriptor.digest)[1]:
            raise DigestMismatch(f"the manifest to be pushed as {descriptor.digest} has another")
        headers = {"Content-Type": descriptor.media_type}
        request = Request("PUT", self._endpoint.url(self._path), headers, data, slow=True)
        async with self._endpoint.send(request, self._errand) as response:
            if response.status not in {200, 201, 202, 204}:
                raise await failure_of(response, self._errand)
            claimed = response.headers.get("Docker-Content-Digest", descriptor.digest)
        if claimed != descriptor.digest:
            raise RegistryError(
                f"{self._endpoint.host} filed {descriptor.digest} under another digest",
                origin=self._endpoint.host,
            )
