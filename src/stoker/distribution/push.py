"""Push: copy from the store to a registry; what is there already is skipped or mounted."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import final

from stoker.base.errors import IntegrityError, ParseError
from stoker.distribution.jobs import Job, Jobs, Notify
from stoker.distribution.report import Reporter
from stoker.oci.content import Ingest
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.reference import Reference, parse_reference
from stoker.registry.client import RegistryClient
from stoker.registry.credentials import Secret
from stoker.registry.repository import Repository
from stoker.store import Entry, Store
from stoker.transfer import copy
from stoker.wire.manage import Progress


@final
class Pusher:
    """Starts pushes and joins running ones."""

    def __init__(self, store: Store, jobs: Jobs, registries: RegistryClient) -> None:
        self._store = store
        self._jobs = jobs
        self._registries = registries

    def push(self, model: Descriptor, target: Reference, *, bearer: str | None = None) -> Job:
        """Send a model, given by its manifest, to where its name says."""

        async def work(notify: Notify) -> None:
            secret = Secret(bearer) if bearer else None
            repository = self._registries.repository(target, bearer=secret)
            sink = _MountingSink(repository, self._neighbours(target))
            manifest = self._store.manifest(model.digest)
            report = Reporter(manifest, "push", notify)
            async with self._store.lease(model.digest, *(b.digest for b in manifest.blobs)):
                await copy(self._store.blobs, sink, model, notify=report)
            notify(Progress("success", "Model pushed successfully", mode="push"))

        return self._jobs.start(f"push {model.digest} {target}", work)

    def _neighbours(self, target: Reference) -> dict[Digest, list[str]]:
        """Blobs that models here share with other repositories of the same registry."""
        found: dict[Digest, list[str]] = {}
        for entry in self._store.entries():
            references = map(parse_reference, entry.names)
            near = {one.repository for one in references if one.registry == target.registry}
            for repository in sorted(near - {target.repository}):
                for blob in self._blobs(entry):
                    found.setdefault(blob.digest, []).append(repository)
        return found

    def _blobs(self, entry: Entry) -> Sequence[Descriptor]:
        """Of a model that may be damaged: a push of another one is not the time to say so."""
        try:
            return self._store.manifest(entry.manifest.digest).blobs
        except (IntegrityError, ParseError):
            return ()


@final
class _MountingSink:
    """A repository that first asks its registry for what it may already have elsewhere."""

    def __init__(self, repository: Repository, elsewhere: Mapping[Digest, Sequence[str]]) -> None:
        self._repository = repository
        self._elsewhere = elsewhere

    async def exists(self, descriptor: Descriptor) -> bool:
        """True when it is there, or is now, without a byte sent."""
        if await self._repository.exists(descriptor):
            return True
        for other in self._elsewhere.get(descriptor.digest, ()):
            if await self._repository.mount(descriptor, other):
                return True
        return False

    def ingest(self, descriptor: Descriptor) -> AbstractAsyncContextManager[Ingest]:
        """As the repository does it."""
        return self._repository.ingest(descriptor)
