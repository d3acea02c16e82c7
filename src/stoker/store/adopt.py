"""Files that are on this disk already become blobs without being copied.

Shared blocks (reflink) where the file system can, else a hard link. A hard link shares the file
itself with its owner, so it is made read-only: whoever opens it for writing is refused instead of
changing what has been hashed. Programs that replace files by renaming are not affected.
"""

import contextlib
import errno
import fcntl
import os
import uuid
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from stoker.base.errors import SizeMismatch
from stoker.oci.descriptor import Descriptor
from stoker.store.durable import disk_errors, sync_directory, sync_file
from stoker.store.layout import Layout
from stoker.store.partial import FICLONE, is_present

# Another file system, too many links, not ours to link or to chmod, a file system without links.
_CANNOT = {
    errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTTY,
    errno.EINVAL, errno.ENOSYS,
}  # fmt: skip


class Adoption(Enum):
    """How a file came in."""

    PRESENT = "its content was here already"
    CLONED = "it shares blocks with the file"
    LINKED = "it is the file, which is read-only now"
    COPIED = "it is a copy of the file"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file looked like; two equal stamps mean that nobody wrote to it in between."""

    device: int
    inode: int
    size: int
    modified: int
    """Nanoseconds."""

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def adopt(layout: Layout, source: Path, stamp: Stamp, descriptor: Descriptor) -> Adoption | None:
    """Make a file the blob of this descriptor; None when it would have to be copied.

    The caller has hashed the file and found it to be the descriptor's content while it had this
    stamp. Blocks for an fsync. Raises SizeMismatch when it has changed since, StorageError.
    """
    if is_present(layout, descriptor.digest, descriptor.size):
        return Adoption.PRESENT
    # Links are followed here, once; `stamp` says whether it is still the file that was hashed.
    with disk_errors("read", source):
        source = source.resolve(strict=True)
        file = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    scratch = layout.scratch / f"adopt.{uuid.uuid4().hex}"
    target = layout.blob(descriptor.digest)
    try:
        _check(file, source, stamp)
        with disk_errors("store", target):
            adoption = _place(file, source, scratch)
            if adoption is None:
                return None
            _check(file, source, stamp)
            scratch.replace(target)
            sync_directory(target.parent)
        return adoption
    finally:
        os.close(file)
        # Also when it was renamed to itself, which leaves both names.
        scratch.unlink(missing_ok=True)


def _check(file: int, source: Path, stamp: Stamp) -> None:
    if Stamp.of(os.fstat(file)) != stamp:
        raise SizeMismatch(
            f"{source} changed while it was being read",
            hint="try again when the program that writes it is done",
        )


def _place(file: int, source: Path, scratch: Path) -> Adoption | None:
    if _clone(file, scratch):
        return Adoption.CLONED
    try:
        os.link(source, scratch)
        if not os.path.samestat(os.fstat(file), scratch.lstat()):
            return None
        os.fchmod(file, 0o444)
        sync_file(file)
    except OSError as error:
        if error.errno in _CANNOT:
            return None
        raise
    return Adoption.LINKED


def _clone(file: int, scratch: Path) -> bool:
    clone = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.ioctl(clone, FICLONE, file)
        os.fchmod(clone, 0o444)
        sync_file(clone)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()
        if error.errno in _CANNOT:
            return False
        raise
    finally:
        os.close(clone)
    return True
