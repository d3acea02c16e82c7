"""What the client remembers about uploads: open sessions, who is writing, where blobs were seen."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, final

from yarl import URL

from stoker.net.reach import Fence
from stoker.oci.digest import Digest, Hasher

# Entries are small; a push of the largest models has some thousand blobs.
_MAX_SEEN: Final = 8192
_MAX_SESSIONS: Final = 256


@dataclass(slots=True)
class Session:
    """An upload under way. `hasher` has seen `confirmed` bytes, or is None when it lost track."""

    location: URL
    fence: Fence
    hasher: Hasher | None
    confirmed: int = 0
    least_chunk: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """One blob in one repository of one registry."""

    host: str
    repository: str
    digest: Digest


@final
class UploadBook:
    """One per client. Sessions outlive the block that began them, so that a push can resume."""

    def __init__(self) -> None:
        self._sessions: dict[Place, Session] = {}
        self._seen: dict[tuple[str, Digest], str] = {}
        self._writers: weakref.WeakValueDictionary[Place, asyncio.Lock]
        self._writers = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def writer(self, place: Place) -> AsyncIterator[bool]:
        """One writer per blob; the value says whether another one was waited for."""
        lock = self._writers.setdefault(place, asyncio.Lock())
        waited = lock.locked()
        async with lock:
            yield waited

    def take(self, place: Place) -> Session | None:
        """The session left behind by an earlier attempt."""
        return self._sessions.pop(place, None)

    def leave(self, place: Place, session: Session) -> None:
        """Keep a session for the next attempt."""
        if len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[place] = session

    def saw(self, place: Place) -> None:
        """Note that a blob is there; other repositories may mount it."""
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen[(place.host, place.digest)] = place.repository

    def elsewhere(self, place: Place) -> str | None:
        """Another repository of the same registry that has this blob."""
        repository = self._seen.get((place.host, place.digest))
        return repository if repository != place.repository else None
