"""Leases: content that nothing names yet, or that is still in use, is kept from the collector.

A lease is a file that its owner keeps locked. It holds while that lock is held, however long, and
after the owner's death until it expires.
"""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

import msgspec

from stoker.base.errors import ParseError
from stoker.oci.digest import Digest, parse_digest
from stoker.store.durable import disk_errors, write_all
from stoker.store.layout import Layout
from stoker.store.lock import StoreLock, try_flock
from stoker.store.threads import to_end

# Long enough to find an interrupted pull's blobs again the next morning. Seconds.
DURATION: Final = 24 * 3600.0
# 10,000 digests of 71 characters and their quotes; a lease is one model's worth.
_MAX_FILE: Final = 1024 * 1024


class _WireLease(msgspec.Struct):
    digests: list[str]
    expires: float
    pid: int


@final
class Lease:
    """`with` or `async with`; entering may block for as long as the store's lock is taken.

    A block that fails leaves its lease to expire, so that what has arrived is still here when the
    work is tried again.
    """

    def __init__(
        self, layout: Layout, lock: StoreLock, digests: Iterable[Digest], duration: float
    ) -> None:
        self._path = layout.leases / f"{uuid.uuid4().hex}.json"
        self._lock = lock
        self._digests = tuple(dict.fromkeys(digests))
        self._duration = duration
        self._file = -1

    def __enter__(self) -> Self:
        self._acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release(keep=error is not None)

    async def __aenter__(self) -> Self:
        try:
            await to_end(self._acquire)
        except asyncio.CancelledError:
            self._release(keep=False)  # as in `_acquire`
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release(keep=error is not None)

    def _acquire(self) -> None:
        wire = _WireLease(list(self._digests), time.time() + self._duration, os.getpid())
        # Under the lock: a collector that has already chosen would not see us.
        with self._lock.held(), disk_errors("write", self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                try_flock(self._file)
                write_all(self._file, msgspec.json.encode(wire), 0)
            except OSError:
                self._release(keep=False)  # nobody will leave a block that was never entered
                raise

    def _release(self, *, keep: bool) -> None:
        if self._file < 0:
            return
        if not keep:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1


def leased(layout: Layout, *, now: float, living_only: bool = False) -> frozenset[Digest]:
    """The digests kept by leases at `now` (Unix seconds). The caller holds the store's lock.

    Removes leases that are over; with `living_only` also those whose owner is gone.
    """
    digests: set[Digest] = set()
    with disk_errors("read", layout.leases):
        for path in sorted(layout.leases.glob("*.json")):
            wire, alive = _read(path)
            if alive or (wire and wire.expires > now and not living_only):
                digests.update(_checked(wire.digests if wire else []))
            else:
                path.unlink(missing_ok=True)
    return frozenset(digests)


def _read(path: Path) -> tuple[_WireLease | None, bool]:
    """What the file says, and whether its owner lives."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None, False
    try:
        alive = not try_flock(file)
        data = os.pread(file, _MAX_FILE, 0)
    finally:
        os.close(file)
    try:
        return msgspec.json.decode(data, type=_WireLease), alive
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # Its owner died while writing it, before it had anything to protect.
        return None, alive


def _checked(texts: Iterable[str]) -> Iterator[Digest]:
    for text in texts:
        with contextlib.suppress(ParseError):
            yield parse_digest(text)
