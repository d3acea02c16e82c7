"""Content in memory: the smallest Source and Sink there can be, and a source with faults."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import Enum

from stoker.base.errors import DigestMismatch, ModelNotFound, SizeMismatch, Unreachable
from stoker.oci.content import Body
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, hasher_for, split_digest


class MemoryBody:
    def __init__(self, data: bytes, offset: int, chunk: int) -> None:
        self._data = data
        self._chunk = chunk
        self.offset = offset

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for position in range(0, len(self._data), self._chunk):
            yield self._data[position : position + self._chunk]


class MemoryIngest:
    """Keeps what was written in the store's `partials`."""

    def __init__(self, store: "MemoryContent", descriptor: Descriptor) -> None:
        self._store = store
        self._descriptor = descriptor
        self._data = store.partials.setdefault(descriptor.digest, bytearray())

    @property
    def offset(self) -> int:
        return len(self._data)

    async def write(self, chunk: bytes) -> None:
        if len(self._data) + len(chunk) > self._descriptor.size:
            raise SizeMismatch("too much")
        self._data += chunk

    async def restart(self) -> None:
        self._data.clear()

    async def commit(self) -> None:
        wanted = self._descriptor
        if len(self._data) != wanted.size:
            raise SizeMismatch("too little")
        hasher = hasher_for(wanted.digest)
        hasher.update(self._data)
        if hasher.hexdigest() != split_digest(wanted.digest)[1]:
            await self.restart()
            raise DigestMismatch("wrong content")
        self._store.blobs[wanted.digest] = bytes(self._data)
        self._store.partials.pop(wanted.digest)


class MemoryContent:
    """A Source and a Sink."""

    def __init__(self, *, chunk: int = 1000) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.partials: dict[Digest, bytearray] = {}
        self.names: dict[str, Descriptor] = {}
        self._chunk = chunk

    def add(self, data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
        descriptor = Descriptor.of(data, media_type)
        self.blobs[descriptor.digest] = data
        return descriptor

    async def resolve(self, name: str) -> Descriptor:
        if name not in self.names:
            raise ModelNotFound(name)
        return self.names[name]

    @contextlib.asynccontextmanager
    async def open(
        self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
    ) -> AsyncIterator[Body]:
        data = self.blobs[descriptor.digest]
        end = len(data) if length is None else at + length
        yield MemoryBody(data[at:end], at, self._chunk)

    async def exists(self, descriptor: Descriptor) -> bool:
        return len(self.blobs.get(descriptor.digest, b"-" * 1000)) == descriptor.size

    @contextlib.asynccontextmanager
    async def ingest(self, descriptor: Descriptor) -> AsyncIterator[MemoryIngest]:
        yield MemoryIngest(self, descriptor)


class Fault(Enum):
    """What may happen to one `open`."""

    NONE = "nothing"
    REFUSED = "no connection"
    CUT = "breaks with an error after some bytes"
    SHORT = "ends early, without an error"
    WHOLE = "ignores offset and length"
    FLIPPED = "one bit is wrong"
    LONG = "sends more than there is"


@dataclass(frozen=True)
class Happening:
    """A fault and where in the stream it strikes, as a fraction."""

    fault: Fault
    where: float = 0.5


class FaultySource:
    """Another source behind a bad line. Each `open` takes the next happening; then all is well."""

    def __init__(self, inner: MemoryContent, happenings: Iterator[Happening]) -> None:
        self._inner = inner
        self._happenings = happenings
        self.opened: list[tuple[Digest, int, int | None]] = []

    async def resolve(self, name: str) -> Descriptor:
        return await self._inner.resolve(name)

    @contextlib.asynccontextmanager
    async def open(
        self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
    ) -> AsyncIterator[Body]:
        self.opened.append((descriptor.digest, at, length))
        happening = next(self._happenings, Happening(Fault.NONE))
        if happening.fault is Fault.REFUSED:
            raise Unreachable("refused", origin="test")
        if happening.fault is Fault.WHOLE:
            at, length = 0, None
        async with self._inner.open(descriptor, at=at, length=length) as body:
            yield _FaultyBody(body, happening, descriptor.size - at)


class _FaultyBody:
    def __init__(self, inner: Body, happening: Happening, size: int) -> None:
        self._inner = inner
        self._happening = happening
        self._left = int(size * happening.where)
        self.offset = inner.offset

    async def __aiter__(self) -> AsyncIterator[bytes]:
        fault = self._happening.fault
        last = b""
        async for chunk in self._inner:
            last = chunk
            struck = 0 <= self._left < len(chunk)
            here, self._left = self._left, self._left - len(chunk)
            if struck and fault is Fault.CUT:
                if here:
                    yield chunk[:here]
                raise Unreachable("the line broke", origin="test")
            if struck and fault is Fault.SHORT:
                return
            if struck and fault is Fault.FLIPPED:
                yield chunk[:here] + bytes([chunk[here] ^ 1]) + chunk[here + 1 :]
            else:
                yield chunk
        if fault is Fault.LONG:
            yield last or b"more"
