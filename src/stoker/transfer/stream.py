"""One blob from a source into an ingest: in order, taken up again as often as it breaks."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, final

from stoker.base.errors import Broken, RemoteError, SizeMismatch
from stoker.oci.content import Body, Ingest, Source
from stoker.oci.descriptor import Descriptor
from stoker.transfer.patience import Patience
from stoker.transfer.progress import Moved, Notify, Retrying, ignore

# Errors that no host can be blamed for by name.
ORIGIN: Final = "the source"


@final
class Line:
    """A source, and how it is used: how many connections, how patiently, and who is told."""

    def __init__(
        self,
        source: Source,
        connections: asyncio.Semaphore,
        *,
        patience: Patience,
        notify: Notify = ignore,
    ) -> None:
        self._source = source
        self._connections = connections
        self._patience = patience
        self.notify: Final = notify

    @contextlib.asynccontextmanager
    async def open(
        self, blob: Descriptor, at: int, length: int | None = None
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Where the stream really begins, and its chunks. Waits for a free connection."""
        async with (
            self._connections,
            self._source.open(blob, at=at, length=length) as body,
            _chunks_of(body, blob, self._patience.stall) as chunks,
        ):
            yield body.offset, chunks

    async def persist(
        self, blob: Descriptor, step: Callable[[], Awaitable[None]], reached: Callable[[], int]
    ) -> None:
        """Repeat a step until it succeeds; one that got further has all its attempts again.

        Raises what the last attempt raised.
        """
        failures = 0
        while True:
            before = reached()
            try:
                await step()
            except RemoteError as error:
                failures = 1 if reached() > before else failures + 1
                pause = self._patience.pause(error, failures)
                if pause is None:
                    raise
                self.notify(Retrying(blob, error.message, pause))
                await asyncio.sleep(pause)
            else:
                return

    async def fill(self, into: Ingest, blob: Descriptor) -> None:
        """Bring an ingest to its full size, in order.

        Raises RemoteError, SizeMismatch, StorageError.
        """

        async def step() -> None:
            if into.offset < blob.size:
                await self._append(into, blob)

        await self.persist(blob, step, lambda: into.offset)

    async def _append(self, into: Ingest, blob: Descriptor) -> None:
        async with self.open(blob, into.offset) as (begin, chunks):
            # A far side that would not resume begins earlier: pass over what we have. Starting
            # anew instead would lose it, should this stream break as well.
            known = into.offset - begin
            if known < 0:
                raise _hole(blob, into.offset, begin)
            async for chunk in chunks:
                fresh = chunk[known:] if known else chunk
                known = max(0, known - len(chunk))
                if fresh:
                    await into.write(fresh)
                    self.notify(Moved(blob, into.offset))
        if into.offset < blob.size:
            raise ended_early(blob, into.offset, blob.size)


def ended_early(blob: Descriptor, reached: int, wanted: int) -> Broken:
    """A stream that ended without an error, and too soon."""
    return Broken(
        f"{blob.digest} ended at byte {reached}, {wanted} were expected",
        origin=ORIGIN,
        hint="what has arrived is kept; try again",
    )


def _hole(blob: Descriptor, wanted: int, got: int) -> SizeMismatch:
    return SizeMismatch(f"{blob.digest}: asked for byte {wanted}, the source began at {got}")


@contextlib.asynccontextmanager
async def _chunks_of(
    body: Body, blob: Descriptor, stall: float
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The chunks of a body; a pause longer than `stall` seconds is Broken."""
    chunks = aiter(body)

    async def watched() -> AsyncGenerator[bytes]:
        while True:
            try:
                async with asyncio.timeout(stall):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise Broken(
                    f"no byte of {blob.digest} for {stall:g} s",
                    origin=ORIGIN,
                    hint="the connection is dead or very slow; what has arrived is kept",
                ) from error
            yield chunk

    try:
        async with contextlib.aclosing(watched()) as stream:
            yield stream
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
