"""A blob on its way into a registry: in one piece when small, else in resumable chunks."""

import asyncio
import random
from typing import Final, final

from stoker.base.errors import (
    AuthRequired,
    Broken,
    Denied,
    DigestMismatch,
    IntegrityError,
    RegistryError,
    SizeMismatch,
    StokerError,
)
from stoker.net.retry import RetryPolicy
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import hasher_for, split_digest
from stoker.registry.sessions import Session
from stoker.registry.upload_wire import UploadWire

# A registry may ask for larger chunks (OCI-Chunk-Min-Length), but not for all our memory.
_MAX_CHUNK: Final = 128 * 1024 * 1024


@final
class BlobUpload:
    """An Ingest. `offset` counts what the registry confirmed and what waits in the buffer.

    After a failure the registry is asked what it has, and the rest is sent. Only when it lost bytes
    that are no longer in the buffer does the error reach the caller, whose next attempt begins at
    the true offset.
    """

    def __init__(
        self, wire: UploadWire, descriptor: Descriptor, *, chunk: int, policy: RetryPolicy
    ) -> None:
        self._wire = wire
        self._descriptor = descriptor
        self._chunk = chunk
        self._policy = policy  # failures in a row, without a byte of progress in between
        self._buffer = bytearray()
        self._complete = False
        self._session: Session | None = None

    @property
    def offset(self) -> int:
        return self._descriptor.size if self._complete else self._confirmed + len(self._buffer)

    @property
    def is_complete(self) -> bool:
        """True when the registry has the blob."""
        return self._complete

    @property
    def session(self) -> Session | None:
        """What can be resumed later: a session that the registry has bytes of."""
        return self._session if self._confirmed else None

    async def resume(self, session: Session) -> None:
        """Go on with a session of an earlier attempt, unless the registry forgot it."""
        self._session = session
        confirmed = await self._wire.status(session)
        if confirmed is None or confirmed > self._descriptor.size:
            self._session = None
        elif confirmed != session.confirmed:
            session.hasher = None  # the registry's own check has to do
            session.confirmed = confirmed

    async def mount(self, from_repository: str) -> None:
        """Try to take the blob from there; when that is not to be, an upload begins instead."""
        try:
            self._session = await self._wire.mount(from_repository)
        except (AuthRequired, Denied, RegistryError):
            return  # not ours to read, or a registry without mounts
        self._complete = self._session is None

    def finish(self) -> None:
        """The registry turned out to have it already."""
        self._complete = True

    async def write(self, chunk: bytes) -> None:
        if self.offset + len(chunk) > self._descriptor.size:
            raise SizeMismatch(
                f"more than the {self._descriptor.size} bytes of {self._descriptor.digest}"
            )
        self._buffer += chunk
        while len(self._buffer) >= (size := self._chunk_size()):
            if len(self._buffer) == size == self._descriptor.size:
                break  # everything is here, and one PUT will do
            await self._send_chunk(size)

    async def restart(self) -> None:
        session, self._session = self._session, None
        self._buffer.clear()
        self._complete = False
        if session:
            await self._wire.cancel(session)

    async def commit(self) -> None:
        if self._complete:
            return
        descriptor = self._descriptor
        if self.offset != descriptor.size:
            raise SizeMismatch(
                f"{descriptor.digest}: {self.offset} bytes were written, wanted {descriptor.size}"
            )
        await self._check_digest()
        if self._confirmed == 0:
            await self._send_whole()
        else:
            while self._buffer:
                await self._send_chunk(self._chunk_size())
            await self._close()
        self._complete = True
        self._session = None
        self._buffer.clear()

    @property
    def _confirmed(self) -> int:
        return self._session.confirmed if self._session else 0

    def _chunk_size(self) -> int:
        least = self._session.least_chunk if self._session else 0
        return min(max(self._chunk, least), _MAX_CHUNK)

    async def _send_whole(self) -> None:
        """The specification's "POST then PUT"."""
        data = bytes(self._buffer)
        failures = 0
        while True:
            session, self._session = self._session or await self._wire.begin(), None
            failure = await self._wire.close(session, data)
            if failure is None:
                return
            failures += 1
            await self._pause(failures, failure)

    async def _send_chunk(self, size: int) -> None:
        """Move the first bytes of the buffer to the registry; afterwards they are confirmed."""
        goal = self._confirmed + min(size, len(self._buffer))
        failures = 0
        while self._confirmed < goal:
            if self._session is None:
                self._session = await self._wire.begin()
            session = self._session
            start = session.confirmed
            data = self._first(goal - start)
            outcome = await self._wire.patch(session, data)
            if isinstance(outcome, StokerError):
                failures += 1
                await self._pause(failures, outcome)
                found = await self._wire.status(session)
                if found is None and start == 0:
                    self._session = None  # everything is still in the buffer: a new session
                    continue
                if found is None:
                    raise self._lost("forgot an upload")
                outcome = found
            await self._confirm(session, outcome, data)
            failures = 0 if outcome > start else failures

    async def _confirm(self, session: Session, confirmed: int, data: bytes) -> None:
        start = session.confirmed
        goal = start + len(data)
        if not start <= confirmed <= goal:
            raise self._lost(
                f"has {confirmed} bytes of an upload after being sent {start} to {goal}"
            )
        arrived = data if confirmed == goal else data[: confirmed - start]
        if session.hasher is not None and arrived:
            # Out of the session meanwhile: after a cancellation nobody knows what it has seen.
            hasher, session.hasher = session.hasher, None
            await asyncio.to_thread(hasher.update, arrived)
            session.hasher = hasher
        del self._buffer[: len(arrived)]
        session.confirmed = confirmed

    def _first(self, size: int) -> bytes:
        with memoryview(self._buffer) as view:
            return bytes(view[:size])

    def _lost(self, what: str) -> Broken:
        """The registry and we disagree: `offset` is 0 again, and the caller may write anew."""
        self._session = None
        self._buffer.clear()
        return Broken(
            f"{self._wire.host} {what}; it starts over",
            origin=self._wire.host,
            hint="try the push again",
        )

    async def _pause(self, failures: int, failure: StokerError) -> None:
        """Wait before the next try, or raise when there have been enough."""
        pause = self._policy.wait(failures, waited=0.0, retry_after=None, chance=random.random)
        if pause is None:
            raise failure
        await asyncio.sleep(pause)

    async def _close(self) -> None:
        if self._session is None:
            return
        try:
            failure = await self._wire.close(self._session, b"")
        except (IntegrityError, RegistryError):
            self._session = None  # a definite no: the next attempt must not resume this
            raise
        if failure is not None:
            raise failure

    async def _check_digest(self) -> None:
        """Before anything is published; a session that lost track leaves it to the registry."""
        hasher = self._session.hasher if self._session else hasher_for(self._descriptor.digest)
        if hasher is None:
            return
        if self._session:
            self._session.hasher = None  # it runs ahead of `confirmed` from here on
        await asyncio.to_thread(hasher.update, self._buffer)
        if hasher.hexdigest() != split_digest(self._descriptor.digest)[1]:
            await self.restart()
            raise DigestMismatch(
                f"what was to be pushed as {self._descriptor.digest} has another digest",
                hint="the local copy is damaged; nothing was published",
            )
