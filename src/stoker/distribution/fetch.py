"""Bring a model from where it is into the store."""

import asyncio
from typing import final

from stoker.base.errors import CorruptStore
from stoker.base.units import binary_size
from stoker.distribution.jobs import Notify
from stoker.distribution.report import Reporter
from stoker.hub import HubClient, HubSource
from stoker.oci.content import Source
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import parse_manifest
from stoker.oci.modelconfig import check_config_type, parse_config
from stoker.oci.reference import Reference
from stoker.registry.client import RegistryClient
from stoker.registry.credentials import Secret
from stoker.store import Store
from stoker.transfer import copy
from stoker.transfer.glance import read_small
from stoker.wire.manage import Progress


@final
class Fetcher:
    """Pulls from OCI registries and from Hugging Face."""

    def __init__(self, store: Store, registries: RegistryClient, hub: HubClient) -> None:
        self._store = store
        self._registries = registries
        self._hub = hub

    async def __call__(
        self, reference: Reference, text: str, *, bearer: str | None, notify: Notify
    ) -> None:
        """Pull and name a model. What arrived before a failure is kept for the next attempt."""
        if reference.is_hub:
            source = await self._of_hub(reference, text, bearer, notify)
            await pull_from(source, reference, self._store, notify)
        else:
            secret = Secret(bearer) if bearer else None
            repository = self._registries.repository(reference, bearer=secret)
            await pull_from(repository, reference, self._store, notify)

    async def _of_hub(
        self, reference: Reference, text: str, token: str | None, notify: Notify
    ) -> HubSource:
        notify(Progress("progress", "Fetching file list..."))
        source = await self._hub.model(reference, text, token=token)
        await source.resolve()
        for note in source.notes:
            notify(Progress("progress", note))
        return source


async def pull_from(source: Source, reference: Reference, store: Store, notify: Notify) -> None:
    """Copy from any source, check that it is a model, name it. Success is the last line."""
    root = await source.resolve("")
    manifest = parse_manifest(await read_small(source, root, "manifest"))
    # Before gigabytes are fetched for something that nobody here can read.
    check_config_type(manifest.config.media_type)
    if await _is_here(store, root, reference):
        size = binary_size(manifest.size)
        notify(Progress("success", f"Using cached model: {size}"))
        return
    async with store.lease(root.digest, *(blob.digest for blob in manifest.blobs)):
        await copy(source, store.blobs, root, notify=Reporter(manifest, "pull", notify))
        config = store.blobs.read_metadata(manifest.config)
        parse_config(config, manifest.config.media_type)
        await asyncio.to_thread(store.tag, str(reference.tagged), root)
    notify(Progress("success", "Model pulled successfully"))


async def _is_here(store: Store, root: Descriptor, reference: Reference) -> bool:
    """True when the model was complete and has this name now."""
    if not any(entry.manifest.digest == root.digest for entry in store.entries()):
        return False
    try:
        await asyncio.to_thread(store.tag, str(reference.tagged), root)
    except CorruptStore:
        return False  # listed but damaged: pulling it again mends it
    return True
