"""Source and Sink: the joint of the whole program.

A registry, a Hugging Face repository, the local store and plain files all have content behind a
descriptor; `transfer/copy` is the only thing that moves it from one to the other.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from stoker.oci.descriptor import Descriptor


class Body(Protocol):
    """An open stream of content.

    `offset` is where the stream really starts: what was asked for, or 0 when the far side would
    not resume. Iterating yields non-empty chunks until the content ends; it is iterated once.
    """

    @property
    def offset(self) -> int: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Source(Protocol):
    """Something content can be read from."""

    async def resolve(self, name: str) -> Descriptor:
        """The manifest that this name means. Raises ModelNotFound."""
        ...

    def open(
        self, descriptor: Descriptor, *, at: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read from byte `at`, at most `length` bytes; the block closes the stream.

        A source that cannot seek answers with `Body.offset == 0` and the whole content.
        """
        ...


class Ingest(Protocol):
    """Content on its way in. Invisible to readers until `commit`."""

    @property
    def offset(self) -> int:
        """Bytes already here, from the start and without a hole."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Append at `offset`. Raises SizeMismatch past the descriptor's size, StorageError."""
        ...

    async def restart(self) -> None:
        """Forget what is here; `offset` becomes 0."""
        ...

    async def commit(self) -> None:
        """Check size and digest, make durable, publish. Raises SizeMismatch, DigestMismatch."""
        ...


@runtime_checkable
class RangedIngest(Ingest, Protocol):
    """An Ingest that also takes content out of order. `offset` is then the part without a hole."""

    def missing(self) -> Sequence[tuple[int, int]]:
        """What is not here yet: from, up to and not including; in order."""
        ...

    async def write_at(self, offset: int, data: bytes) -> None:
        """Write anywhere; several may be under way. Raises SizeMismatch, StorageError.

        Large pieces (1 MiB and more) are meant: nothing is buffered.
        """
        ...


class Sink(Protocol):
    """Something content can be written to."""

    async def exists(self, descriptor: Descriptor) -> bool: ...

    def ingest(self, descriptor: Descriptor) -> AbstractAsyncContextManager[Ingest]:
        """Open or resume. Leaving the block without a commit keeps what was written for next time.

        One writer per digest: a second one waits for the first and then finds the content there.
        """
        ...
