"""Pull: a lease, copy, tag. One transfer for each model, however many ask for it."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

from stoker.base.errors import ModelNotFound
from stoker.base.units import binary_size
from stoker.distribution import bundled
from stoker.distribution.artifact import Artifact, store_artifact
from stoker.distribution.jobs import Job, Jobs, Notify
from stoker.distribution.package import build
from stoker.distribution.package_gguf import plan_gguf
from stoker.oci.defaults import DEFAULT_REGISTRY
from stoker.oci.reference import Reference, parse_reference
from stoker.store import Store
from stoker.wire.manage import Progress


class Fetch(Protocol):
    """Brings a model from a registry or a hub into the store and tags it."""

    def __call__(
        self, reference: Reference, text: str, *, bearer: str | None, notify: Notify
    ) -> Awaitable[None]: ...


class Puller:
    """Starts pulls and joins running ones."""

    def __init__(
        self, store: Store, jobs: Jobs, fetch: Fetch, *, default_registry: str = DEFAULT_REGISTRY
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._fetch = fetch
        self._default_registry = default_registry

    def pull(self, text: str, *, bearer: str | None = None) -> Job:
        """Bring a model here. The job goes on without followers. Raises InvalidReference."""
        reference = parse_reference(text, default_registry=self._default_registry)

        async def work(notify: Notify) -> None:
            file = bundled.bundled_file(reference)
            if file is not None:
                await self._unpack(file, reference, notify)
            else:
                await self._fetch(reference, text, bearer=bearer, notify=notify)

        return self._jobs.start(f"pull {reference}", work)

    async def _unpack(self, file: Path, reference: Reference, notify: Notify) -> None:
        """The bundled model takes the same way as any other: artifact, store, tag."""
        try:
            artifact = await asyncio.to_thread(_bundled_artifact, file)
        except ModelNotFound as error:
            raise ModelNotFound(
                f"the bundled model is missing from this installation: {file}",
                hint="reinstall stoker",
            ) from error
        here = any(e.manifest.digest == artifact.descriptor.digest for e in self._store.entries())
        await store_artifact(self._store, artifact, reference)
        size = binary_size(artifact.manifest.size)
        text = f"Using cached model: {size}" if here else "Model pulled successfully"
        notify(Progress("success", text))


def _bundled_artifact(file: Path) -> Artifact:
    return build(plan_gguf(file), created=bundled.CREATED)
