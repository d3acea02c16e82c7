"""The lock of a store: between threads and between processes, and it says who holds it."""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import msgspec

from stoker.base.errors import Locked
from stoker.store.durable import disk_errors

# Everything done under the lock takes milliseconds; whoever waits this long meets a stuck process.
TIMEOUT: Final = 20.0
_NOTE: Final = 512


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took the lock, and when (Unix seconds)."""

    pid: int
    command: str
    since: float

    def describe(self, now: float) -> str:
        """For an error message. A long time means stuck, a short one contention."""
        return f"process {self.pid} ({self.command}) for {max(0.0, now - self.since):.1f} s"


class _Note(msgspec.Struct):
    pid: int
    command: str
    since: float


@final
class StoreLock:
    """`flock` on one file: the kernel gives it back when its holder dies.

    Every acquisition opens the file anew, so threads of one process exclude each other too. Not
    reentrant.
    """

    def __init__(
        self, path: Path, *, timeout: float = TIMEOUT, what: str = "the model store"
    ) -> None:
        self._path = path
        self._what = what
        self._timeout = timeout

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Blocks until the lock is ours. Raises Locked after the timeout, StorageError."""
        with disk_errors("lock", self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._wait(descriptor)
            with disk_errors("lock", self._path):
                _sign(descriptor)
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> Holder | None:
        """Who signed last; only meaningful while the lock is held."""
        try:
            note = msgspec.json.decode(self._path.read_bytes()[:_NOTE], type=_Note)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return Holder(note.pid, note.command, note.since)

    def _wait(self, descriptor: int) -> None:
        deadline = time.monotonic() + self._timeout
        pause = 0.0005
        while not try_flock(descriptor):
            if time.monotonic() >= deadline:
                holder = self.holder()
                who = holder.describe(time.time()) if holder else "an unknown process"
                raise Locked(
                    f"{self._what} is locked by {who}: {self._path}",
                    hint="wait for it to finish, or stop it if it hangs",
                )
            time.sleep(pause)
            pause = min(pause * 2, 0.02)


def try_flock(descriptor: int) -> bool:
    """Take the lock of an open file without waiting. Closing the file gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_current(descriptor: int, path: Path) -> bool:
    """True when the path still means this open file, not a successor or nothing."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    note = msgspec.json.encode(_Note(os.getpid(), _command(), time.time()))
    # Always the same length instead of truncated: ext4 answers a truncation with a flush.
    os.pwrite(descriptor, note.ljust(_NOTE), 0)


def _command() -> str:
    # Program and subcommand only: later arguments are nobody else's business.
    program = Path(sys.argv[0]).name if sys.argv else "python"
    return " ".join([program, *sys.argv[1:2]])[:100]
