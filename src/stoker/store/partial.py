"""The file that an ingest writes to, and who may write to it. Everything here blocks.

`.stoker/ingest/<digest>` is locked by its one writer. Its length says what is here, unless there
is a journal beside it, `<digest>.ranges`: then content came out of order, and each line of the
journal is a range that is here.
"""

import contextlib
import errno
import fcntl
import os
import threading
from enum import Enum
from pathlib import Path
from typing import Final, final

from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest, Hasher
from stoker.store.durable import (
    begin_writing,
    disk_errors,
    replace_file,
    sync_directory,
    sync_file,
    write_all,
)
from stoker.store.layout import Layout
from stoker.store.lock import is_current, try_flock
from stoker.store.ranges import Range, Ranges

JOURNAL: Final = ".ranges"
_READ: Final = 4 * 1024 * 1024
# A line for every batch of a terabyte would be less; more is not ours.
_MAX_JOURNAL: Final = 64 * 1024 * 1024
# _IOW(0x94, 9, int): Btrfs, XFS, bcachefs and overlays of them; others refuse.
FICLONE: Final = 0x40049409


def is_present(layout: Layout, digest: Digest, size: int) -> bool:
    """True when this content is here in full length."""
    try:
        return layout.blob(digest).lstat().st_size == size
    except FileNotFoundError:
        return False


@final
class Partial:
    """A locked partial file. Raises StorageError."""

    def __init__(self, layout: Layout, digest: Digest, file: int) -> None:
        self._path = layout.partial(digest)
        self._target = layout.blob(digest)
        self._scratch = layout.scratch
        self._file = file
        self._journal = -1
        self.has_journal = False

    @property
    def path(self) -> Path:
        return self._path

    def length(self) -> int:
        return os.fstat(self._file).st_size

    def load(self) -> Ranges:
        """What an earlier writer left."""
        journal = journal_of(self._path)
        with disk_errors("read", self._path):
            length = self.length()
            try:
                text = journal.read_bytes()[:_MAX_JOURNAL].decode("ascii", "replace")
            except FileNotFoundError:
                return Ranges([(0, length)])
        self.has_journal = True
        return Ranges(_parse(text)).clipped(length)

    def write(self, chunks: list[bytes], offset: int) -> None:
        """Write in order: the length of the file tells."""
        with disk_errors("write", self._path):
            data = b"".join(chunks)
            write_all(self._file, data, offset)
        begin_writing(self._file, offset, len(data))

    def begin_journal(self, held: Ranges) -> None:
        """From now on the journal tells what is here, beginning with `held`."""
        journal = journal_of(self._path)
        lines = "".join(f"{start} {end}\n" for start, end in held)
        with disk_errors("write", journal):
            # Not durable: after a power cut the digest decides, and at worst all is fetched again.
            replace_file(journal, lines.encode(), scratch=self._scratch, durable=False)
            self.has_journal = True
            self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)

    @property
    def is_journaling(self) -> bool:
        """True when ranges may be written. A journal of an earlier writer is not enough."""
        return self._journal >= 0

    def write_out_of_order(self, data: bytes, offset: int) -> None:
        """Write anywhere, with a journal. Several threads may."""
        with disk_errors("write", self._path):
            write_all(self._file, data, offset)
            line = f"{offset} {offset + len(data)}\n".encode()
            if os.write(self._journal, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        begin_writing(self._file, offset, len(data))

    def settle(self, held: Ranges) -> None:
        """In order again: cut off what lies behind a hole, and do without a journal."""
        with disk_errors("write", self._path):
            # In this order: a journal of a shorter file is clipped, a file with holes and without
            # a journal would be a lie.
            os.ftruncate(self._file, held.prefix)
            self._stop_journal()

    def truncate(self) -> None:
        with disk_errors("truncate", self._path):
            os.ftruncate(self._file, 0)
            self._stop_journal()

    def hash(self, start: int, end: int, hasher: Hasher, stop: threading.Event) -> int:
        """Hash these bytes; returns where it ended, earlier when stopped."""
        with disk_errors("read", self._path):
            while start < end and not stop.is_set():
                chunk = os.pread(self._file, min(_READ, end - start), start)
                if not chunk:
                    break
                hasher.update(chunk)
                start += len(chunk)
        return start

    def clone(self, source: int) -> bool:
        """Share the blocks of another open file. False: this file system cannot."""
        try:
            fcntl.ioctl(self._file, FICLONE, source)
        except OSError:
            return False
        return True

    def publish(self) -> None:
        """Durable, read-only, visible: in this order."""
        with disk_errors("store", self._target):
            self._stop_journal()
            os.fchmod(self._file, 0o444)
            sync_file(self._file)
            self._path.replace(self._target)
            sync_directory(self._target.parent)

    def close(self) -> None:
        """Give the lock back. An empty file is not worth keeping."""
        try:
            if is_current(self._file, self._path) and self.length() == 0:
                journal_of(self._path).unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
        finally:
            if self._journal >= 0:
                os.close(self._journal)
            os.close(self._file)

    def _stop_journal(self) -> None:
        journal_of(self._path).unlink(missing_ok=True)
        self.has_journal = False
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1


class Refusal(Enum):
    """Why a partial cannot be had."""

    PRESENT = "the content is here"
    TAKEN = "another task or process is writing it"


def claim(layout: Layout, descriptor: Descriptor) -> Partial | Refusal:
    """The partial of this content, locked for us."""
    path = layout.partial(descriptor.digest)
    with disk_errors("open", path):
        if is_present(layout, descriptor.digest, descriptor.size):
            return Refusal.PRESENT
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, file)
            # Committed or removed between the opening and the locking: look again.
            if not try_flock(file) or not is_current(file, path):
                return Refusal.TAKEN
            if is_present(layout, descriptor.digest, descriptor.size):
                journal_of(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                return Refusal.PRESENT
            stack.pop_all()
            return Partial(layout, descriptor.digest, file)


def abandon(path: Path) -> int:
    """Delete a partial that nobody is writing; answers how many bytes that freed."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0  # its content is whole by now
    try:
        if not try_flock(file) or not is_current(file, path):
            return 0
        journal_of(path).unlink(missing_ok=True)
        path.unlink()
        return os.fstat(file).st_size
    finally:
        os.close(file)


def journal_of(partial: Path) -> Path:
    """The journal beside a partial."""
    return partial.with_name(partial.name + JOURNAL)


def _parse(text: str) -> list[Range]:
    # The last line of a killed process may be half a line: what no newline ends does not count.
    lines = (line.partition(" ") for line in text.split("\n")[:-1])
    return [
        (int(start), int(end))
        for start, _, end in lines
        if start.isdecimal() and end.isdecimal() and len(start) < 20 and len(end) < 20
    ]
