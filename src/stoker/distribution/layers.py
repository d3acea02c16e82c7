"""Files become layers: hashed once, described as Docker Model Runner describes them."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import StorageError, UserError
from stoker.distribution.artifact import FileLayer
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.store import Stamp
from stoker.store.headers import check_file
from stoker.store.viewnames import flaw_of

# Fits in a core's cache beside the hash's state: larger ones hash slower.
_CHUNK: Final = 1024 * 1024
# SHA-256 runs at 1 to 2 GB/s on a core; more threads than this only fight for the disk.
_THREADS: Final = 4

Hashed = Callable[[int], None]
"""Is told how many more bytes were hashed; may be called from several threads."""


def ignore(count: int) -> None:
    """A Hashed for those who do not care."""
    del count


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to become a layer; `name` is its path inside the artifact, with `/`."""

    path: Path
    name: str
    media_type: str


def created_of(paths: Sequence[Path], environ: dict[str, str] | None = None) -> str:
    """RFC 3339, for the artifact's `created`: never "now", so that equal files give equal digests.

    SOURCE_DATE_EPOCH (reproducible-builds.org) if set, else the newest file's time. Raises
    ModelNotFound, UserError.
    """
    env = os.environ if environ is None else environ
    given = env.get("SOURCE_DATE_EPOCH", "")
    if given:
        if not given.isdecimal() or len(given) > 11:
            raise UserError(f"SOURCE_DATE_EPOCH={given!r} is not a number of seconds since 1970")
        return rfc3339(int(given))
    return rfc3339(max((int(check_file(path).st_mtime) for path in paths), default=0))


def rfc3339(seconds: int) -> str:
    """UTC, whole seconds: `2026-11-21T00:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(0, seconds)))


def file_layer(
    path: Path, media_type: str, *, name: str = "", created: str = "", hashed: Hashed = ignore
) -> FileLayer:
    """Read all of a file and describe it. Raises ModelNotFound, UserError, StorageError."""
    check_file(path)
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with path.open("rb", buffering=0) as file:
            before = Stamp.of(os.fstat(file.fileno()))
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
                hashed(count)
            after = Stamp.of(os.fstat(file.fileno()))
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    if before != after:
        raise StorageError(
            f"{path} changed while it was being read",
            hint="try again when the program that writes it is done",
        )
    descriptor = Descriptor(
        media_type,
        Digest(f"sha256:{digest.hexdigest()}"),
        after.size,
        annotations(name or path.name, after.size, created),
    )
    return FileLayer(descriptor, path, after)


def file_layers(
    wanted: Sequence[Wanted], *, created: str, hashed: Hashed = ignore
) -> list[FileLayer]:
    """The layers of several files, in their order.

    Raises as `file_layer`, and UserError for a name that nobody could lay out again.
    """
    for one in wanted:
        if why := flaw_of(one.name):
            raise UserError(f"{one.path} cannot be called {one.name!a}: {why}", hint="rename it")
    lock, stopped = threading.Lock(), threading.Event()

    def count(size: int) -> None:
        if stopped.is_set():
            raise StorageError("stopped: reading of another file failed, or was interrupted")
        with lock:
            hashed(size)

    def layer(one: Wanted) -> FileLayer:
        return file_layer(one.path, one.media_type, name=one.name, created=created, hashed=count)

    if len(wanted) < 2:
        return [layer(one) for one in wanted]
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(layer, one) for one in wanted]
        try:
            return [future.result() for future in futures]
        finally:
            # A thread cannot be interrupted; without this Ctrl-C would wait for the largest file.
            stopped.set()
            pool.shutdown(cancel_futures=True)


def annotations(name: str, size: int, created: str) -> dict[str, str]:
    """What Docker Model Runner writes beside a file; owner, mode and time are not the machine's.

    The same bytes must make the same artifact wherever they are packaged.
    """
    found = {mt.ANNOTATION_FILEPATH: name, mt.ANNOTATION_MEDIATYPE_UNTESTED: "false"}
    if created:
        metadata = {
            "name": name.rpartition("/")[2], "mode": 0o644, "uid": 0, "gid": 0, "size": size,
            "mtime": created, "typeflag": 0,
        }  # fmt: skip
        found[mt.ANNOTATION_FILE_METADATA] = msgspec.json.encode(metadata).decode()
    return found
