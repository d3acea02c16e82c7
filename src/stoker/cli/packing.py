"""Where a packaged model goes: into the store, to a service elsewhere, to a registry."""

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stoker.base.errors import ModelNotFound, StokerError
from stoker.cli import transfer
from stoker.cli.errors import doing, say
from stoker.cli.meter import Meter, meter
from stoker.cli.session import Session
from stoker.client.client import Client
from stoker.distribution.archive import archive_chunks, archive_size, artifact_parts
from stoker.distribution.artifact import Artifact, store_artifact
from stoker.oci.digest import Digest
from stoker.oci.reference import Reference
from stoker.store import Adoption, Store

_LINKED: Final = "note: the store shares the files with you; they are read-only now (see --copy)"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What to do with an artifact. `share` files with the store instead of copying them.

    `told`: say so when that makes them read-only.
    """

    reference: Reference
    share: bool = True
    push: bool = False
    keep: bool = True
    told: bool = True


def deliver(session: Session, root: Path | None, artifact: Artifact, delivery: Delivery) -> None:
    """Store it where the service has its models, name it, push it. Raises StokerError."""
    if root is None:
        _deliver_elsewhere(session, artifact, delivery)
        return
    store = Store.open(root)
    before = _Before.of(store, artifact, delivery.reference)
    ways = asyncio.run(store_artifact(store, artifact, delivery.reference, share=delivery.share))
    if delivery.told and (not delivery.push or delivery.keep):
        _tell(ways)
    if delivery.push:
        _push(session, delivery.reference)
        if not delivery.keep:
            before.restore(store)


def _deliver_elsewhere(session: Session, artifact: Artifact, delivery: Delivery) -> None:
    """A service that cannot read our files gets their bytes."""
    client, reference = session.client(), delivery.reference
    had = _has(client, str(reference))
    parts = artifact_parts(artifact)
    say("Loading model to Model Runner...")
    with meter("Sending", archive_size(parts)) as sent, doing("Failed to load model"):
        client.load(_counted(archive_chunks(parts), sent))
    # The archive carries no name.
    client.tag(artifact.descriptor.digest, reference.name, reference.tag)
    if delivery.push:
        _push(session, reference)
        if not delivery.keep and not had:
            client.remove(str(reference))


def _has(client: Client, name: str) -> bool:
    """Exactly this name: asked for one model, the service may answer with a similar one."""
    return any(name in model.tags for model in client.models())


def _counted(chunks: Iterable[bytes], sent: Meter) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        sent.add(len(chunk))


def _push(session: Session, reference: Reference) -> None:
    say("Pushing model to registry...")
    name = str(reference)
    try:
        say(transfer.push(session.client(), name))
    except StokerError as error:
        error.hint = f"the model is kept here; once that is mended: {session.program} push {name}"
        raise


def _tell(ways: frozenset[Adoption]) -> None:
    if Adoption.LINKED in ways:
        say(_LINKED)


@dataclass(frozen=True, slots=True)
class _Before:
    """What the store had, to go back to after a push that leaves nothing here."""

    reference: Reference
    digest: Digest
    listed: bool
    named: Digest | None
    files: Mapping[Path, os.stat_result]

    @classmethod
    def of(cls, store: Store, artifact: Artifact, reference: Reference) -> "_Before":
        entries, name, digest = store.entries(), str(reference), artifact.descriptor.digest
        named = next((entry.manifest.digest for entry in entries if name in entry.names), None)
        listed = any(entry.manifest.digest == digest for entry in entries)
        files = {layer.path: layer.path.stat() for layer in artifact.files.values()}
        return cls(reference, digest, listed, named, files)

    def restore(self, store: Store) -> None:
        """The name means again what it meant; content that came only for the push goes."""
        name = str(self.reference)
        former = next(
            (e.manifest for e in store.entries() if e.manifest.digest == self.named), None
        )
        try:
            if former:
                store.tag(name, former)
            else:
                store.untag(name)
            ours = next((e for e in store.entries() if e.manifest.digest == self.digest), None)
            if ours and not ours.names and not self.listed:
                store.remove(self.digest)
        except ModelNotFound:
            return  # somebody else has removed it meanwhile
        store.gc()
        for path, status in self.files.items():
            self._unprotect(path, status)

    def _unprotect(self, path: Path, before: os.stat_result) -> None:
        """A file that the store shared for a while is its owner's again, to write to too."""
        with contextlib.suppress(OSError):
            now = path.stat()
            if now.st_nlink == before.st_nlink and now.st_mode != before.st_mode:
                path.chmod(stat.S_IMODE(before.st_mode))
