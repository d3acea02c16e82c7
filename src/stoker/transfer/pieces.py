"""One large blob over several connections: ranges in flight, written where they belong.

One connection rarely fills a line; four do. The sink hashes behind the part without a hole, so the
hash is ready soon after the last byte.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from stoker.oci.content import RangedIngest
from stoker.oci.descriptor import Descriptor
from stoker.transfer.progress import Moved
from stoker.transfer.stream import Line, ended_early


@dataclass(frozen=True, slots=True)
class Cut:
    """From which size on a blob is cut into pieces of what size; all in bytes."""

    from_size: int = 64 * 1024 * 1024
    piece: int = 32 * 1024 * 1024
    # Handed to the sink at once.
    batch: int = 2 * 1024 * 1024


class _NoRanges(Exception):
    """The source began elsewhere than asked."""


@dataclass(slots=True)
class _Piece:
    """Bytes still to be fetched; `start` moves up as they are written."""

    start: int
    end: int


@final
class Pieces:
    """The ranged copy of one blob."""

    def __init__(self, line: Line, into: RangedIngest, blob: Descriptor, cut: Cut) -> None:
        self._line = line
        self._into = into
        self._blob = blob
        self._cut = cut
        missing = into.missing()
        self._held = blob.size - sum(end - start for start, end in missing)
        self._waiting = deque(_cut(missing, cut.piece))

    async def run(self, *, at_once: int) -> bool:
        """Bring what is missing; False when the source does not serve ranges.

        What came until then is kept. Raises RemoteError, StorageError.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, len(self._waiting))):
                    group.create_task(self._work())
        except BaseExceptionGroup as failures:
            if failures.subgroup(_NoRanges):
                return False
            # The first failure cancelled the others.
            raise failures.exceptions[0] from None
        return True

    async def _work(self) -> None:
        # In order, so that the part without a hole grows and the hash can follow.
        while self._waiting:
            piece = self._waiting.popleft()

            async def step(piece: _Piece = piece) -> None:
                await self._fetch(piece)

            def reached(piece: _Piece = piece) -> int:
                return piece.start

            await self._line.persist(self._blob, step, reached)

    async def _fetch(self, piece: _Piece) -> None:
        length = piece.end - piece.start
        if not length:
            return
        async with self._line.open(self._blob, piece.start, length) as (begin, chunks):
            if begin != piece.start:
                raise _NoRanges
            pending: list[bytes] = []
            size = 0
            try:
                async for chunk in chunks:
                    # A source may ignore the length and send on: enough is enough.
                    fresh = chunk[:length]
                    length -= len(fresh)
                    pending.append(fresh)
                    size += len(fresh)
                    self._held += len(fresh)
                    self._line.notify(Moved(self._blob, self._held))
                    if size >= self._cut.batch:
                        await self._write(piece, pending)
                        size = 0
                    if not length:
                        break
            finally:
                # Also when the stream broke or the task was cancelled: it has arrived.
                await self._write(piece, pending)
        if piece.start < piece.end:
            raise ended_early(self._blob, piece.start, piece.end)

    async def _write(self, piece: _Piece, pending: list[bytes]) -> None:
        data = b"".join(pending)
        pending.clear()
        if data:
            await self._into.write_at(piece.start, data)
            piece.start += len(data)


def _cut(missing: Iterable[tuple[int, int]], size: int) -> Iterator[_Piece]:
    for start, end in missing:
        for position in range(start, end, size):
            yield _Piece(position, min(position + size, end))
