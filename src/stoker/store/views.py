"""Views: the files of a model under their human names, as engines want them.

`.stoker/views/<manifest hex>/model/…` is a directory of hard links to blobs. It takes no space,
and an engine that runs from it keeps its bytes even when the model is removed.
"""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stoker.base.errors import CorruptStore
from stoker.oci.descriptor import Descriptor
from stoker.store.below import create_below, directory_below, held_open, place_below
from stoker.store.durable import disk_errors
from stoker.store.layout import Layout
from stoker.store.lock import StoreLock
from stoker.store.partial import is_present
from stoker.store.unpack import read_archives, unpack
from stoker.store.viewnames import check_names

MODEL: Final = "model"
# Beside it: the digests of the archives that were unpacked into it.
UNPACKED: Final = "unpacked"
# A view under construction; the collector leaves it alone for a day.
BUILDING: Final = "building-"


def find_view(
    layout: Layout,
    view: Path,
    files: Sequence[tuple[str, Descriptor]],
    archives: Sequence[Descriptor] = (),
) -> Path | None:
    """The `model` directory, if it is there and every file in it is right. 5 µs a file.

    `view` is one of `layout.view`. Raises UnsupportedFormat for bad names.
    """
    check_names(name for name, _ in files)
    with disk_errors("read", view):
        return view / MODEL if _is_right(layout, view, files, archives) else None


def build_view(
    layout: Layout,
    lock: StoreLock,
    target: Path,
    files: Sequence[tuple[str, Descriptor]],
    archives: Sequence[Descriptor] = (),
) -> Path:
    """Make the `model` directory. The names were checked; the caller holds a lease on the blobs.

    `archives` are layers of tar: what is in them comes beside the files, as copies. Raises
    CorruptStore for missing blobs, UnsupportedFormat and ParseError for bad archives, StorageError,
    Locked.
    """
    building = layout.views / f"{BUILDING}{uuid.uuid4().hex}"
    with disk_errors("lay out", target):
        found = read_archives(layout, archives)
        if found:
            names = [name for name, _ in files]
            check_names([*names, *(name for archive in found for name in archive.names)])
        try:
            with (
                held_open(layout.views) as views,
                directory_below(views, building.name) as view,
                directory_below(view, MODEL) as model,
            ):
                for name, descriptor in files:
                    with place_below(model, name) as (folder, last):
                        _place(layout, descriptor, folder, last)
                for archive in found:
                    unpack(layout, archive, model)
                if found:
                    with os.fdopen(create_below(view, UNPACKED, 0o644), "w") as file:
                        file.write(_unpacked(archives))
            with lock.held():
                # Another process may have been faster; an equal view is as good as ours.
                if not _is_right(layout, target, files, archives):
                    if target.exists():
                        target.rename(layout.trash / uuid.uuid4().hex)
                    building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return target / MODEL


def _unpacked(archives: Sequence[Descriptor]) -> str:
    return "".join(f"{layer.digest}\n" for layer in archives)


def _is_right(
    layout: Layout,
    view: Path,
    files: Sequence[tuple[str, Descriptor]],
    archives: Sequence[Descriptor],
) -> bool:
    """Every file is the blob itself, or a faithful copy of it; and these archives were unpacked."""
    model = view / MODEL
    try:
        if archives and (view / UNPACKED).read_text() != _unpacked(archives):
            return False
        return (
            all(
                _is_same((model / name).stat(), layout.blob(descriptor.digest).stat())
                for name, descriptor in files
            )
            and model.is_dir()
        )
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_same(seen: os.stat_result, blob: os.stat_result) -> bool:
    # A copy has the blob's time stamp; a link to a blob that was replaced since has another.
    return os.path.samestat(seen, blob) or (
        (seen.st_size, seen.st_mtime_ns) == (blob.st_size, blob.st_mtime_ns)
    )


def _place(layout: Layout, descriptor: Descriptor, folder: int, name: str) -> None:
    if not is_present(layout, descriptor.digest, descriptor.size):
        raise CorruptStore(
            f"{descriptor.digest} is not here in full length",
            hint="`stoker verify --repair`, then pull the model again",
        )
    blob = layout.blob(descriptor.digest)
    try:
        os.link(blob, name, dst_dir_fd=folder)
    except OSError:
        # Another file system, exFAT, 1024 links on one blob.
        try:
            os.symlink(blob, name, dir_fd=folder)
        except OSError:
            _copy(blob, folder, name)


def _copy(blob: Path, folder: int, name: str) -> None:
    """With the blob's time stamp, see `_is_same`."""
    with blob.open("rb") as source:
        status = os.fstat(source.fileno())
        with os.fdopen(create_below(folder, name, status.st_mode & 0o777), "wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.utime(target.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
