"""Models out of a tar file, in either form that `archive` writes. Streamed; verified; all or none.

Nothing is listed before the archive has been read to its end and every blob is what its name says.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, final

from stoker.base.errors import (
    IntegrityError,
    InvalidReference,
    ParseError,
    StokerError,
    UnsupportedFormat,
)
from stoker.distribution import archive
from stoker.formats.tar import Member, MemberKind, TarParser
from stoker.oci.content import Ingest
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, parse_digest
from stoker.oci.manifest import MAX_LAYERS, MAX_METADATA, Manifest, parse_index, parse_manifest
from stoker.oci.mediatypes import ANNOTATION_REF_NAME, MANIFESTS
from stoker.oci.modelconfig import check_config_type, parse_config
from stoker.oci.reference import parse_reference
from stoker.store import Lease, Store

# Leases are open files; so many single ones are merged into one of all.
_MANY: Final = 64
_HINT: Final = "archives are written by `stoker save`, or exported by Docker Model Runner"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is here now; `names` are canonical, and none if the archive has none."""

    manifest: Descriptor
    names: tuple[str, ...]


Count = Callable[[int], None]


async def load(
    store: Store, chunks: AsyncIterable[bytes], *, read: Count = lambda _: None
) -> tuple[Loaded, ...]:
    """Bring all models of an archive here, under the names it has for them.

    `read` is told of every piece. Raises ParseError, UnsupportedFormat, IntegrityError,
    StorageError; then nothing has become visible.
    """
    loader = _Loader(store)
    try:
        try:
            async for chunk in chunks:
                await loader.feed(chunk)
                read(len(chunk))
            return await loader.finish()
        finally:
            await loader.close()
    except (StokerError, asyncio.CancelledError):
        # What came in before is nobody's. Why it failed matters more than whether this does.
        with contextlib.suppress(StokerError):
            await asyncio.to_thread(store.gc)
        raise


@final
class _Loader:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._parser = TarParser()
        self._kept = _Kept(store)
        self._documents: dict[str, bytearray] = {}
        self._document: bytearray | None = None
        self._ingest: Ingest | None = None
        self._open = AsyncExitStack()

    async def feed(self, chunk: bytes) -> None:
        for event in self._parser.feed(chunk):
            if isinstance(event, Member):
                await self._end_member()
                await self._begin_member(event)
            elif self._ingest is not None:
                await self._ingest.write(event)
            elif self._document is not None:
                self._document += event

    async def close(self) -> None:
        try:
            if self._ingest is not None:
                # The next attempt will not go on from here, so this would only take up space.
                with contextlib.suppress(StokerError):
                    await self._ingest.restart()
            await self._open.aclose()
        finally:
            self._kept.release()

    async def finish(self) -> tuple[Loaded, ...]:
        """The archive is over: check that it is whole, then name its models."""
        self._parser.close()
        await self._end_member()
        models = await self._models()
        if not models:
            raise ParseError("there is no model in this archive", hint=_HINT)
        for model in models:
            self._check(model.manifest)
        for model in models:
            for name in model.names:
                await asyncio.to_thread(self._store.tag, name, model.manifest)
            if not model.names:
                await asyncio.to_thread(self._store.add, model.manifest)
        return tuple(models)

    async def _begin_member(self, member: Member) -> None:
        name = member.name.removeprefix("./")
        if ".." in name:
            raise UnsupportedFormat(f"refused: the archive has {name[:100]!a}", hint=_HINT)
        if member.kind is not MemberKind.FILE:
            return
        digest = _digest_of(name)
        if digest is not None:
            await self._kept.add(digest)
            await self._begin_blob(Descriptor("", digest, member.size))
        elif name in (archive.INDEX, archive.MANIFEST):
            if member.size > MAX_METADATA:
                raise ParseError(f"{name}: {member.size} bytes, at most {MAX_METADATA} are read")
            self._document = self._documents[name] = bytearray()

    async def _begin_blob(self, descriptor: Descriptor) -> None:
        """Content that is here already is passed over."""
        blobs = self._store.blobs
        if blobs.has(descriptor):
            return
        ingest = await self._open.enter_async_context(blobs.ingest(descriptor))
        if not blobs.has(descriptor):  # nobody else has brought it while we waited
            # What an earlier attempt left is no better than what comes now.
            await ingest.restart()
            self._ingest = ingest

    async def _end_member(self) -> None:
        ingest, self._ingest, self._document = self._ingest, None, None
        if ingest is not None:
            await ingest.commit()
        await self._open.aclose()

    async def _models(self) -> list[Loaded]:
        if archive.INDEX in self._documents:
            return _listed(bytes(self._documents[archive.INDEX]))
        raw = bytes(self._documents.get(archive.MANIFEST, b""))
        if not raw:
            raise ParseError(f"this archive has neither {archive.INDEX} nor {archive.MANIFEST}")
        descriptor = Descriptor.of(raw, parse_manifest(raw).media_type)
        await self._kept.add(descriptor.digest)
        await self._store.blobs.ingest_bytes(descriptor, raw)
        return [Loaded(descriptor, ())]

    def _check(self, descriptor: Descriptor) -> Manifest:
        """Everything a model needs is here and can be read."""
        if not self._store.blobs.has(descriptor):
            raise IntegrityError(f"the archive lacks the manifest {descriptor.digest}")
        manifest = parse_manifest(self._store.blobs.read_metadata(descriptor))
        check_config_type(manifest.config.media_type)
        for blob in manifest.blobs:
            if not self._store.blobs.has(blob):
                raise IntegrityError(
                    f"the archive lacks {blob.digest}, or has it in another size",
                    hint="was it cut short on its way?",
                )
        config = self._store.blobs.read_metadata(manifest.config)
        parse_config(config, manifest.config.media_type)
        return manifest


def _listed(data: bytes) -> list[Loaded]:
    names: dict[Digest, list[str]] = {}
    found: dict[Digest, Descriptor] = {}
    for entry in parse_index(data).manifests[:MAX_LAYERS]:
        if entry.media_type not in MANIFESTS:
            continue
        bare = Descriptor(entry.media_type, entry.digest, entry.size)
        found.setdefault(entry.digest, bare)
        name = _name(entry.annotations.get(ANNOTATION_REF_NAME, ""))
        names.setdefault(entry.digest, []).extend([name] if name else [])
    return [Loaded(model, tuple(names[digest])) for digest, model in found.items()]


def _name(text: str) -> str:
    """A name as the store has it; nothing for what is only a tag, as other tools write it."""
    if "/" not in text:
        return ""
    try:
        return str(parse_reference(text).tagged)
    except InvalidReference:
        return ""


def _digest_of(name: str) -> Digest | None:
    """The digest that a member's name promises; None for other members. Raises ParseError."""
    place, _, rest = name.partition("/")
    algorithm, _, encoded = rest.partition("/")
    if place not in (archive.BLOBS, "manifests") or not encoded:
        return None
    return parse_digest(f"{algorithm}:{encoded}")


@final
class _Kept:
    """Leases on what has arrived: nothing names it yet, and a collector may come by."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._digests: list[Digest] = []
        self._leases: list[Lease] = []

    async def add(self, digest: Digest) -> None:
        self._digests.append(digest)
        self._leases.append(await self._store.lease(digest).__aenter__())
        if len(self._leases) >= _MANY:
            single, self._leases = self._leases, []
            try:
                self._leases.append(await self._store.lease(*self._digests).__aenter__())
            finally:
                _end(single)

    def release(self) -> None:
        _end(self._leases)


def _end(leases: list[Lease]) -> None:
    with contextlib.ExitStack() as stack:
        for lease in leases:
            stack.push(lease)
