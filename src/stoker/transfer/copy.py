"""The one mover: everything a manifest needs from a Source to a Sink, the manifest last."""

import asyncio
from dataclasses import replace
from typing import Final, final

from stoker.base.errors import DigestMismatch, SizeMismatch, StokerError, UnsupportedFormat
from stoker.oci.content import Ingest, RangedIngest, Sink, Source
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, hasher_for, split_digest
from stoker.oci.manifest import MAX_METADATA, Manifest, parse_manifest
from stoker.oci.mediatypes import MANIFESTS
from stoker.transfer.patience import Patience
from stoker.transfer.pieces import Cut, Pieces
from stoker.transfer.progress import Done, Moved, Notify, Skipped, Started, ignore
from stoker.transfer.stream import Line

CONCURRENCY: Final = 4
_PATIENCE: Final = Patience()
_CUT: Final = Cut()


async def copy(
    source: Source,
    sink: Sink,
    root: Descriptor,
    *,
    notify: Notify = ignore,
    concurrency: int = CONCURRENCY,
    patience: Patience = _PATIENCE,
    cut: Cut = _CUT,
) -> Manifest:
    """Copy a manifest and all it needs; what the sink has is skipped.

    At most `concurrency` connections at once; a large blob comes in pieces over several. Children
    are published before the manifest, so that the sink never shows one without its content. What
    has arrived before a failure stays with the sink for the next attempt. Raises RemoteError,
    IntegrityError, StorageError, UnsupportedFormat, ParseError.
    """
    mover = _Mover(source, sink, notify=notify, concurrency=concurrency, patience=patience, cut=cut)
    document = await mover.manifest(root)
    manifest = parse_manifest(document)
    blobs = _distinct(manifest.blobs)
    try:
        async with asyncio.TaskGroup() as group:
            for blob in blobs:
                group.create_task(mover.ensure(blob))
    except BaseExceptionGroup as failures:
        # The first failure cancelled the others; it is the one to tell.
        raise _first(failures) from None
    await mover.put(root, document)
    return manifest


@final
class _Mover:
    def __init__(
        self,
        source: Source,
        sink: Sink,
        *,
        notify: Notify,
        concurrency: int,
        patience: Patience,
        cut: Cut,
    ) -> None:
        self._sink = sink
        self._concurrency = concurrency
        self._cut = cut
        self._notify = notify
        # Blobs under way, and connections: the same number, but a blob holds its place while it is
        # hashed and made durable, a connection only while it brings bytes.
        self._blobs = asyncio.Semaphore(concurrency)
        connections = asyncio.Semaphore(concurrency)
        self._line = Line(source, connections, patience=patience, notify=notify)
        # The first contact: a source has its own patience with connecting.
        self._first = Line(source, connections, patience=replace(patience, attempts=1))

    async def manifest(self, root: Descriptor) -> bytes:
        """Fetch the manifest into memory, verified."""
        if root.media_type not in MANIFESTS:
            raise UnsupportedFormat(
                f"{root.digest} is a {root.media_type!a}, not a manifest",
                hint="stoker copies one model at a time, not an index of several",
            )
        if root.size > MAX_METADATA:
            raise SizeMismatch(f"{root.digest}: a manifest of {root.size} bytes is not read")
        into = _Memory(root)
        await self._first.fill(into, root)
        await into.commit()
        return into.data

    async def ensure(self, blob: Descriptor) -> None:
        """Skip or copy one blob."""
        async with self._blobs:
            if await self._sink.exists(blob):
                self._notify(Skipped(blob))
            else:
                await self._copy_blob(blob)

    async def put(self, root: Descriptor, document: bytes) -> None:
        """Publish the manifest."""
        if await self._sink.exists(root):
            self._notify(Skipped(root))
            return
        async with self._sink.ingest(root) as into:
            self._notify(Started(root, into.offset))
            if into.offset < root.size:
                await into.restart()
                await into.write(document)
                self._notify(Moved(root, into.offset))
            await into.commit()
        self._notify(Done(root))

    async def _copy_blob(self, blob: Descriptor) -> None:
        async with self._sink.ingest(blob) as into:
            resumed = into.offset
            self._notify(Started(blob, resumed))
            await self._bring(into, blob)
            try:
                await into.commit()
            except DigestMismatch:
                if not resumed:
                    raise
                # A power cut can leave a partial with wrong bytes: once more, from the start.
                await into.restart()
                await self._bring(into, blob)
                await into.commit()
        self._notify(Done(blob))

    async def _bring(self, into: Ingest, blob: Descriptor) -> None:
        """All of it: in pieces at once where that pays and both sides can, else in order."""
        if blob.size >= self._cut.from_size and isinstance(into, RangedIngest):
            pieces = Pieces(self._line, into, blob, self._cut)
            if await pieces.run(at_once=self._concurrency):
                return
        await self._line.fill(into, blob)


@final
class _Memory:
    """An Ingest for a manifest."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._data = bytearray()

    @property
    def offset(self) -> int:
        return len(self._data)

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    async def write(self, chunk: bytes) -> None:
        if len(self._data) + len(chunk) > self._descriptor.size:
            raise SizeMismatch(
                f"{self._descriptor.digest}: more than the promised {self._descriptor.size} bytes"
            )
        self._data += chunk

    async def restart(self) -> None:
        self._data.clear()

    async def commit(self) -> None:
        hasher = hasher_for(self._descriptor.digest)
        hasher.update(self._data)
        if hasher.hexdigest() != split_digest(self._descriptor.digest)[1]:
            raise DigestMismatch(
                f"the manifest is not {self._descriptor.digest}: it was damaged or exchanged"
            )


def _distinct(blobs: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    """Each content once. Raises SizeMismatch when one digest is said to have two sizes."""
    seen: dict[Digest, Descriptor] = {}
    for blob in blobs:
        if seen.setdefault(blob.digest, blob).size != blob.size:
            raise SizeMismatch(f"the manifest gives {blob.digest} two different sizes")
    return tuple(seen.values())


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure to tell of: one of ours rather than one of the interpreter's."""
    flat: list[BaseException] = []
    waiting: list[BaseException] = [failures]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, StokerError)), flat[0])
