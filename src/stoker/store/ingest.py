"""Content on its way in: resumable, hashed while it comes, published whole or not at all.

Bytes in order are hashed from memory. What an earlier writer left, and what comes out of order, is
read back and hashed behind the writing, so that nothing waits for it before the end.
"""

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from typing import Final, final

from stoker.base.errors import DigestMismatch, SizeMismatch, StorageError
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Hasher, hasher_for, split_digest
from stoker.store.durable import disk_errors
from stoker.store.partial import Partial
from stoker.store.ranges import Range, Ranges
from stoker.store.threads import ended, start, to_end

# Bytes handed to the threads at once: large enough that a hand-over (0.1 ms) does not matter,
# small enough that memory does not either (two batches for each blob under way).
BATCH: Final = 2 * 1024 * 1024
# How much must lie unhashed before a thread goes after it.
_BEHIND: Final = 8 * 1024 * 1024
# How much a thread hashes in one go (0.15 s): threads are shared, 40 GB must not keep one busy.
_SLICE: Final = 256 * 1024 * 1024


@final
class DiskIngest:
    """The one writer of one blob. A RangedIngest."""

    def __init__(self, descriptor: Descriptor, partial: Partial) -> None:
        self._descriptor = descriptor
        self._partial = partial
        self._held = Ranges()
        # Bytes in order that were accepted but are not in `_held` yet.
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._writing: asyncio.Future[None] | None = None
        self._feeding: asyncio.Future[None] | None = None
        self._turning = asyncio.Lock()
        # The hash has seen this many bytes; one thread at a time feeds it, from memory or the file.
        self._hashed = 0
        self._hasher: Hasher = hasher_for(descriptor.digest)
        self._hashing: asyncio.Future[int] | None = None
        self._stop = threading.Event()
        self._failure: StorageError | None = None
        self._committed = False

    @property
    def offset(self) -> int:
        return self._held.prefix + self._pending_size

    async def resume(self) -> None:
        """Take over what an earlier writer left. Its hash is made up for later."""
        self._held = await to_end(self._partial.load)
        if self._held.clipped(self._descriptor.size).count != self._held.count:
            # More than there can be: not ours to guess which part is right.
            await self.restart()

    async def write(self, chunk: bytes) -> None:
        self._check(self.offset + len(chunk))
        self._pending.append(chunk)
        self._pending_size += len(chunk)
        if self._pending_size >= BATCH:
            await self._hand_over()

    def missing(self) -> tuple[Range, ...]:
        return self._held.missing(self._descriptor.size)

    async def write_at(self, offset: int, data: bytes) -> None:
        self._check(offset + len(data))
        async with self._turning:
            await self._flush()
            if not self._partial.is_journaling:
                await to_end(self._partial.begin_journal, self._held)
        try:
            await to_end(self._partial.write_out_of_order, data, offset)
        except StorageError as error:
            self._failure = error
            raise
        self._held.add(offset, offset + len(data))
        self._follow()

    async def restart(self) -> None:
        await self._quiet()
        self._failure = None
        self._pending = []
        self._pending_size = 0
        await to_end(self._partial.truncate)
        self._held = Ranges()
        self._hasher = hasher_for(self._descriptor.digest)
        self._hashed = 0

    async def commit(self) -> None:
        if self._committed:
            return
        await self._flush()
        wanted = self._descriptor
        if self.offset != wanted.size:
            raise SizeMismatch(f"{wanted.digest}: {self.offset} of {wanted.size} bytes arrived")
        found = await self._digest()
        if found != split_digest(wanted.digest)[1]:
            # Nothing tells which byte is wrong, so nothing of it is worth keeping.
            await self.restart()
            raise DigestMismatch(
                f"the content is not {wanted.digest} but has the digest {found}",
                hint="it was damaged on the way or at its source; try again",
            )
        await to_end(self._partial.publish)
        self._committed = True

    async def clone(self, path: Path) -> bool:
        """Try to share the blocks of a file with an empty ingest. False: cannot."""
        if self.offset or self.missing() != ((0, self._descriptor.size),):
            return False
        with disk_errors("read", path):
            source = os.open(path, os.O_RDONLY)
        try:
            cloned = await to_end(self._partial.clone, source)
        finally:
            os.close(source)
        if cloned:
            await self.resume()
        return cloned

    async def close(self) -> None:
        """Keep what has arrived for the next writer."""
        try:
            if not self._committed:
                # The disk may be full; then the file just ends earlier.
                with contextlib.suppress(StorageError):
                    await self._flush()
                    if self._partial.has_journal and not self._held.has_holes:
                        await to_end(self._partial.settle, self._held)
        finally:
            await self._quiet()
            self._partial.close()

    def _check(self, end: int) -> None:
        if self._failure:
            raise self._failure
        if end > self._descriptor.size:
            raise SizeMismatch(
                f"{self._descriptor.digest}: more than the promised {self._descriptor.size} bytes"
            )

    async def _flush(self) -> None:
        await self._hand_over()
        await self._written()

    async def _hand_over(self) -> None:
        """Write the next batch in a thread, and hash it in another at the same time."""
        await self._written()
        if not self._pending:
            return
        position = self._held.prefix
        if self._partial.has_journal:
            # From here on in order: what lies behind a hole comes again.
            await to_end(self._partial.settle, self._held)
            self._held = self._held.clipped(position)
        batch, self._pending = self._pending, []
        self._writing = start(self._partial.write, batch, position)
        if self._hashed == position and not self._hashing:
            self._feeding = start(_feed, self._hasher, batch)
            self._hashed += sum(map(len, batch))

    async def _written(self) -> None:
        """Wait for the batch under way. Its bytes count as held from here on."""
        if self._failure:
            raise self._failure
        if not self._writing:
            return
        # Waiting for the hash as well keeps it level with the writing, and memory bounded.
        await ended(*(future for future in (self._writing, self._feeding) if future))
        writing, self._writing, self._feeding = self._writing, None, None
        try:
            writing.result()
        except StorageError as error:
            # How much was written only the file knows; the next writer will ask it.
            self._failure = error
            self._pending = []
            self._pending_size = 0
            raise
        prefix = self._held.prefix
        size = self._pending_size - sum(map(len, self._pending))
        self._held.add(prefix, prefix + size)
        self._pending_size -= size
        self._follow()

    def _follow(self) -> None:
        """Send a thread after the bytes that are written but not hashed."""
        if self._hashing and self._hashing.done():
            self._hashed = self._hashing.result()
            self._hashing = None
        prefix = self._held.prefix
        if not self._hashing and prefix - self._hashed >= _BEHIND:
            self._hash_to(prefix)

    def _hash_to(self, end: int) -> None:
        end = min(end, self._hashed + _SLICE)
        self._hashing = start(self._partial.hash, self._hashed, end, self._hasher, self._stop)

    async def _digest(self) -> str:
        """The digest of everything, as soon as the hash has caught up."""
        while True:
            if self._hashing:
                await ended(self._hashing, stop=self._stop.set)
                hashing, self._hashing = self._hashing, None
                self._hashed = hashing.result()
            if self._hashed >= self._descriptor.size:
                return self._hasher.hexdigest()
            self._hash_to(self._descriptor.size)

    async def _quiet(self) -> None:
        """No thread works for us any more."""
        self._stop.set()
        busy = [future for future in (self._writing, self._feeding, self._hashing) if future]
        try:
            await ended(*busy)
        finally:
            for future in busy:
                # Seen or not, a failure of work that nobody waits for any more is no news.
                future.exception()
            self._writing = self._feeding = self._hashing = None
            self._stop.clear()


def _feed(hasher: Hasher, batch: list[bytes]) -> None:
    for chunk in batch:
        hasher.update(chunk)
