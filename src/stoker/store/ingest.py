"""Content on its way in: resumable, hashed as it comes, published whole or not at all.

The bytes collect in `.stoker/ingest/<digest>`, locked by their one writer. `commit` checks size
and digest, makes the file durable and read-only, and renames it to where readers look.
"""

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, final

from stoker.base.errors import DigestMismatch, SizeMismatch, StorageError
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, Hasher, hasher_for, split_digest
from stoker.store.durable import disk_errors, sync_directory, sync_file, write_all
from stoker.store.layout import Layout
from stoker.store.lock import is_current, try_flock
from stoker.store.threads import ended, start, to_end

# Bytes handed to the threads at once: large enough that a hand-over (0.1 ms) does not matter,
# small enough that memory does not either (two batches for each blob under way).
BATCH: Final = 2 * 1024 * 1024
_READ: Final = 4 * 1024 * 1024
# How often a second writer of the same content looks whether the first is done. Seconds.
_LOOK: Final = 0.05


@final
class DiskIngest:
    """The one writer of one blob. Made by `open_ingest`."""

    def __init__(self, layout: Layout, descriptor: Descriptor, file: int) -> None:
        self._layout = layout
        self._descriptor = descriptor
        self._file = file
        self._hasher: Hasher = hasher_for(descriptor.digest)
        # Accepted bytes; those in `_pending` and in `_busy` are not in the file yet.
        self._offset = 0
        self._written = 0
        self._pending: list[bytes] = []
        self._busy: tuple[asyncio.Future[None], ...] = ()
        self._failure: StorageError | None = None
        self._committed = False

    @property
    def offset(self) -> int:
        return self._offset

    async def resume(self) -> None:
        """Take over what an earlier writer left. Reads and hashes all of it, in a thread."""
        held = os.fstat(self._file).st_size
        if held > self._descriptor.size:
            # More than there can be: not ours to guess which part is right.
            await self.restart()
            return
        stop = threading.Event()
        reading = start(_hash_file, self._file, held, self._hasher, stop)
        await ended(reading, stop=stop.set)
        self._offset = self._written = reading.result()

    async def write(self, chunk: bytes) -> None:
        if self._failure:
            raise self._failure
        if self._offset + len(chunk) > self._descriptor.size:
            raise SizeMismatch(
                f"{self._descriptor.digest}: more than the promised {self._descriptor.size} bytes"
            )
        self._pending.append(chunk)
        self._offset += len(chunk)
        if self._offset - self._written >= BATCH:
            await self._hand_over()

    async def restart(self) -> None:
        await ended(*self._busy)
        self._busy, self._failure = (), None
        self._pending.clear()
        with disk_errors("truncate", self._partial):
            os.ftruncate(self._file, 0)
        self._hasher = hasher_for(self._descriptor.digest)
        self._offset = self._written = 0

    async def commit(self) -> None:
        if self._committed:
            return
        await self._flush()
        wanted = self._descriptor
        if self._offset != wanted.size:
            raise SizeMismatch(f"{wanted.digest}: {self._offset} of {wanted.size} bytes arrived")
        found = self._hasher.hexdigest()
        if found != split_digest(wanted.digest)[1]:
            # Nothing tells which byte is wrong, so nothing of it is worth keeping.
            await self.restart()
            raise DigestMismatch(
                f"the content is not {wanted.digest} but has the digest {found}",
                hint="it was damaged on the way or at its source; try again",
            )
        await to_end(self._publish)
        self._committed = True

    async def clone(self, source: int) -> bool:
        """Try to share the blocks of an open file with us, then hash them. False: cannot."""
        if not await to_end(_reflink, source, self._file):
            return False
        await self.resume()
        return True

    async def close(self) -> None:
        """Keep what has arrived for the next writer; without a byte there is nothing to keep."""
        try:
            # The disk may be full; then the file just ends earlier.
            with contextlib.suppress(StorageError):
                await self._flush()
        finally:
            await ended(*self._busy)
            if not self._committed and os.fstat(self._file).st_size == 0:
                self._partial.unlink(missing_ok=True)
            os.close(self._file)

    @property
    def _partial(self) -> Path:
        return self._layout.partial(self._descriptor.digest)

    async def _flush(self) -> None:
        await self._hand_over()
        await self._settle()

    async def _hand_over(self) -> None:
        """Start hashing and writing the next batch, at the same time; wait for the one before."""
        await self._settle()
        if not self._pending:
            return
        batch = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        self._busy = (
            start(self._hasher.update, batch),
            start(write_all, self._file, batch, self._written),
        )
        self._written += len(batch)

    async def _settle(self) -> None:
        if self._failure:
            raise self._failure
        busy, self._busy = self._busy, self._busy
        await ended(*busy)
        self._busy = ()
        try:
            with disk_errors("write", self._partial):
                for future in busy:
                    future.result()
        except StorageError as error:
            # The hash may be ahead of the file now; only a new writer can go on from here.
            self._failure = error
            self._pending.clear()
            self._offset = self._written = min(self._written, os.fstat(self._file).st_size)
            raise

    def _publish(self) -> None:
        target = self._layout.blob(self._descriptor.digest)
        with disk_errors("store", target):
            os.fchmod(self._file, 0o444)
            sync_file(self._file)
            self._partial.replace(target)
            sync_directory(target.parent)


@final
class PresentIngest:
    """Content that turned out to be here already: nothing to do but to commit."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    @property
    def offset(self) -> int:
        return self._descriptor.size

    async def write(self, chunk: bytes) -> None:
        raise SizeMismatch(f"{self._descriptor.digest} is complete; {len(chunk)} bytes too many")

    async def restart(self) -> None:
        """Nothing to forget: what is here was verified."""

    async def commit(self) -> None:
        """Done before we came."""


@contextlib.asynccontextmanager
async def open_ingest(
    layout: Layout, descriptor: Descriptor
) -> AsyncIterator[DiskIngest | PresentIngest]:
    """Open or resume. Waits while another task or process writes the same content."""
    file = await _claim(layout, descriptor)
    if file is None:
        yield PresentIngest(descriptor)
        return
    ingest = DiskIngest(layout, descriptor, file)
    try:
        await ingest.resume()
        yield ingest
    finally:
        await ingest.close()


def is_present(layout: Layout, digest: Digest, size: int) -> bool:
    """True when this content is here in full length."""
    try:
        return layout.blob(digest).lstat().st_size == size
    except FileNotFoundError:
        return False


async def _claim(layout: Layout, descriptor: Descriptor) -> int | None:
    """The locked partial, or None when the content is here (now)."""
    while True:
        attempt = start(_try_claim, layout, descriptor)
        try:
            await ended(attempt)
        except asyncio.CancelledError:
            file = attempt.result()
            if file is not None and file >= 0:
                os.close(file)
            raise
        file = attempt.result()
        if file is None or file >= 0:
            return file
        await asyncio.sleep(_LOOK)


def _try_claim(layout: Layout, descriptor: Descriptor) -> int | None:
    """An open file that is ours, None when the content is here, -1 when another is writing it."""
    partial = layout.partial(descriptor.digest)
    with disk_errors("open", partial):
        if is_present(layout, descriptor.digest, descriptor.size):
            return None
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        file = os.open(partial, flags, 0o600)
        try:
            # Committed or removed between the opening and the locking: look again.
            claimed = try_flock(file) and is_current(file, partial)
            if claimed and not is_present(layout, descriptor.digest, descriptor.size):
                file, mine = -1, file
                return mine
            if claimed:
                partial.unlink(missing_ok=True)
            return None if claimed else -1
        finally:
            if file >= 0:
                os.close(file)


def _hash_file(file: int, size: int, hasher: Hasher, stop: threading.Event) -> int:
    """Hash the first `size` bytes. Returns how many there were."""
    offset = 0
    while offset < size and not stop.is_set():
        chunk = os.pread(file, min(_READ, size - offset), offset)
        if not chunk:
            break
        hasher.update(chunk)
        offset += len(chunk)
    return offset


def _reflink(source: int, target: int) -> bool:
    # _IOW(0x94, 9, int): Btrfs, XFS, bcachefs and overlays of them; others refuse.
    ficlone = 0x40049409
    try:
        fcntl.ioctl(target, ficlone, source)
    except OSError:
        return False
    return True
