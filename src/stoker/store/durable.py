"""Making things last: atomic replacement, fsync, and the disk's errors in our words."""

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from stoker.base.errors import StorageError
from stoker.base.units import binary_size

# Linux only; in Python's os module there is nothing like it.
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
_RANGE_WRITE = 2  # SYNC_FILE_RANGE_WRITE

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def disk_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError: `cannot <doing> <path>: …`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing, path) from error


def begin_writing(file: int, offset: int, length: int) -> None:
    """Have the kernel begin to write these bytes to the disk, without waiting for it.

    Otherwise the disk idles while a download fills the page cache and has everything to do in the
    fsync at the end. Only advice: where there is no such call, or it fails, the fsync does it all.
    """
    if _sync_file_range is not None:
        _sync_file_range(file, ctypes.c_int64(offset), ctypes.c_int64(length), _RANGE_WRITE)


def storage_error(error: OSError, doing: str, path: Path) -> StorageError:
    """What failed, where, and what to do about it."""
    what = f"cannot {doing} {path}: {error.strerror or error}"
    if error.errno in _FULL:
        return StorageError(
            f"{what}{_free_at(path)}",
            hint="free some space (`stoker rm`, `stoker df`), or set MODELS_PATH to a larger disk;"
            " what has arrived is kept",
        )
    if error.errno in _READ_ONLY:
        return StorageError(
            what,
            hint="the store must be writable for you: check its owner and mount,"
            " or set MODELS_PATH to another directory",
        )
    return StorageError(what, hint="check the disk; `stoker verify` tells whether models suffered")


def _free_at(path: Path) -> str:
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            return f" ({binary_size(shutil.disk_usage(place).free)} free)"
    return ""


def sync_file(descriptor: int) -> None:
    """Blocks until the file's bytes are on the disk."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        # macOS: fsync only hands the bytes to the drive, which may still reorder them.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Blocks until renames into this directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """`pwrite` until everything is written. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def replace_file(
    target: Path, data: bytes, *, scratch: Path, durable: bool = True, mode: int = 0o644
) -> None:
    """Readers see the old file or the new one, whole; never less. Raises OSError.

    `scratch` is a directory on the same file system; what a crash leaves there is litter.
    """
    temporary = scratch / f"{target.name}.{uuid.uuid4().hex}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_all(descriptor, data, 0)
            if durable:
                sync_file(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(target.parent)


def disk_usage(root: Path) -> int:
    """Bytes of all files below, hard links counted once. Blocks. Raises StorageError."""
    sizes: dict[tuple[int, int], int] = {}

    def fail(error: OSError) -> None:
        # A directory that vanished while we walked is no error.
        if error.errno != errno.ENOENT:
            raise error

    with disk_errors("measure", root):
        for directory, _, names in os.walk(root, onerror=fail):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found = Path(directory, name).lstat()
                    sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())
