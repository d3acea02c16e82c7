"""Content by digest. A Source and a Sink, so that `transfer/copy` moves models in and out."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Self, final

from stoker.base.errors import CorruptStore, ModelNotFound, ParseError, SizeMismatch, StorageError
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, hasher_for, split_digest
from stoker.oci.manifest import MAX_METADATA
from stoker.store.adopt import Adoption, Stamp, adopt
from stoker.store.durable import disk_errors
from stoker.store.ingest import DiskIngest
from stoker.store.layout import Layout
from stoker.store.opening import PresentIngest, open_ingest
from stoker.store.partial import is_present
from stoker.store.tags import IndexFile
from stoker.store.threads import ended, start, to_end

# Bytes read at once; the next read runs while the reader works on this one.
READ: Final = 1024 * 1024


@final
class FileBody:
    """A Body over an open file, one read ahead. Iterated once; `close` before the file."""

    def __init__(self, file: int, path: Path, offset: int, end: int) -> None:
        self._file = file
        self._path = path
        self._end = end
        self._position = offset
        self.offset: Final = offset
        self._ahead: asyncio.Future[bytes] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._position >= self._end:
            raise StopAsyncIteration
        reading = self._ahead or self._read()
        # Kept until it is done: a cancelled reader leaves it to `close`.
        self._ahead = reading
        await asyncio.wait([reading])
        self._ahead = None
        with disk_errors("read", self._path):
            chunk = reading.result()
        if not chunk:
            raise CorruptStore(
                f"{self._path} ends at byte {self._position}, {self._end} were expected",
                hint="`stoker verify --repair`, then pull the model again",
            )
        self._position += len(chunk)
        if self._position < self._end:
            self._ahead = self._read()
        return chunk

    async def close(self) -> None:
        """Wait for the read under way: it must not outlive its descriptor."""
        if self._ahead:
            await ended(self._ahead)
            self._ahead = None

    def _read(self) -> asyncio.Future[bytes]:
        return start(os.pread, self._file, min(READ, self._end - self._position), self._position)


@contextlib.asynccontextmanager
async def open_file(path: Path, offset: int, end: int) -> AsyncIterator[FileBody]:
    """A Body of bytes `offset` to `end` of a file. Raises StorageError."""
    with disk_errors("read", path):
        file = os.open(path, os.O_RDONLY)
    body = FileBody(file, path, offset, end)
    try:
        yield body
    finally:
        try:
            await body.close()
        finally:
            os.close(file)


@final
class BlobStore:
    """The blobs of one store. Nothing it hands out can be changed; nothing unverified gets in."""

    def __init__(self, layout: Layout, index: IndexFile) -> None:
        self._layout = layout
        self._index = index

    def path_of(self, digest: Digest) -> Path:
        """Where this content is, or would be."""
        return self._layout.blob(digest)

    def has(self, descriptor: Descriptor) -> bool:
        """True when the content is here in full length. One `stat`."""
        return is_present(self._layout, descriptor.digest, descriptor.size)

    def read_metadata(self, descriptor: Descriptor) -> bytes:
        """A config or manifest, whole. Blocks for one small read.

        Raises CorruptStore when it is missing or not what its digest says, ParseError when it is
        larger than metadata may be.
        """
        if descriptor.size > MAX_METADATA:
            raise ParseError(
                f"{descriptor.digest}: {descriptor.size} bytes, at most {MAX_METADATA} are read"
            )
        path = self.path_of(descriptor.digest)
        hint = "`stoker verify --repair`, then pull the model again"
        try:
            with disk_errors("read", path), path.open("rb") as file:
                data = file.read(descriptor.size + 1)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise CorruptStore(f"{descriptor.digest} is missing here", hint=hint) from error
            raise
        algorithm, encoded = split_digest(descriptor.digest)
        if hashlib.new(algorithm, data).hexdigest() != encoded:
            raise CorruptStore(f"{path} is not what its name says", hint=hint)
        if len(data) != descriptor.size:
            raise SizeMismatch(
                f"{descriptor.digest} is said to have {descriptor.size} bytes and has {len(data)}"
            )
        return data

    async def resolve(self, name: str) -> Descriptor:
        """The manifest of a canonical name. Raises ModelNotFound."""
        for entry in self._index.entries():
            if name in entry.names:
                return entry.manifest
        raise ModelNotFound("model not found", hint=f"stoker pull {name}")

    @contextlib.asynccontextmanager
    async def open(
        self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
    ) -> AsyncIterator[FileBody]:
        """Read from byte `at`, at most `length` bytes. Raises CorruptStore, StorageError."""
        path = self.path_of(descriptor.digest)
        if not self.has(descriptor):
            raise CorruptStore(
                f"{descriptor.digest} is not here in full length",
                hint="`stoker verify --repair`, then pull the model again",
            )
        end = descriptor.size if length is None else min(descriptor.size, at + length)
        async with open_file(path, at, end) as body:
            yield body

    async def exists(self, descriptor: Descriptor) -> bool:
        return self.has(descriptor)

    def ingest(
        self, descriptor: Descriptor
    ) -> AbstractAsyncContextManager[DiskIngest | PresentIngest]:
        """Open or resume; see `oci/content.Sink`."""
        return open_ingest(self._layout, descriptor)

    async def ingest_bytes(self, descriptor: Descriptor, data: bytes) -> None:
        """Put metadata in. Raises SizeMismatch, DigestMismatch, StorageError."""
        async with self.ingest(descriptor) as into:
            if into.offset < descriptor.size or not self.has(descriptor):
                await into.restart()
                await into.write(data)
            await into.commit()

    async def ingest_file(self, path: Path, descriptor: Descriptor) -> None:
        """Put a copy of a file in: shared blocks where the file system can, otherwise bytes.

        The file itself stays its owner's: it is never hard-linked, because a later write to it
        would reach into the store. Raises SizeMismatch, DigestMismatch, StorageError.
        """
        size = await to_end(_size_of, path)
        if size != descriptor.size:
            raise SizeMismatch(f"{path} has {size} bytes, {descriptor.size} were expected")
        async with self.ingest(descriptor) as into:
            cloned = isinstance(into, DiskIngest) and await into.clone(path)
            if not cloned:
                async with open_file(path, into.offset, size) as body:
                    async for chunk in body:
                        await into.write(chunk)
            await into.commit()

    async def adopt_file(self, path: Path, stamp: Stamp, descriptor: Descriptor) -> Adoption:
        """Take in a file that was hashed while it had this stamp, without copying where possible.

        A file that ends up as a hard link is made read-only: see `store/adopt`. Raises
        SizeMismatch when it has changed since, StorageError.
        """
        adoption = await to_end(adopt, self._layout, path, stamp, descriptor)
        if adoption is None:
            await self.ingest_file(path, descriptor)
        return adoption or Adoption.COPIED


def _size_of(path: Path) -> int:
    with disk_errors("read", path):
        return path.stat().st_size


def hash_matches(
    path: Path, digest: Digest, *, hashed: Callable[[int], None] = lambda _: None
) -> bool:
    """True when the file's content has this digest; `hashed` is told of bytes as they are read.

    Blocks. Raises StorageError.
    """
    hasher = hasher_for(digest)
    buffer = memoryview(bytearray(READ))
    try:
        with disk_errors("read", path), path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
                hashed(count)
            return hasher.hexdigest() == split_digest(digest)[1]
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise
