"""Engines on their way out: gone by one rename, deleted, tens of thousands of files, later.

What is left when the daemon ends, or is killed, is deleted by the next one.
"""

import asyncio
import contextlib
import logging
import os
import threading
import uuid
from pathlib import Path
from typing import Final

from stoker.base.errors import StorageError

logger = logging.getLogger(__name__)

_TRASH: Final = ".trash"


def discard(root: Path, path: Path) -> None:
    """Take a file or directory, somewhere below `root`, out of sight. Raises StorageError.

    What is not there is gone already.
    """
    trash = root / _TRASH
    try:
        trash.mkdir(exist_ok=True)
        path.rename(trash / uuid.uuid4().hex)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"cannot remove {path}: {error.strerror}", hint="check permissions"
        ) from error


def discarded(root: Path) -> tuple[Path, ...]:
    """What waits to be deleted."""
    with contextlib.suppress(OSError):
        return tuple((root / _TRASH).iterdir())
    return ()


async def deleted(path: Path) -> None:
    """Delete what was discarded; cancelled, it stops in the middle. Never raises OSError."""
    stop = threading.Event()
    working = asyncio.ensure_future(asyncio.to_thread(delete, path, stop))
    try:
        await asyncio.shield(working)
    finally:
        stop.set()
        await working


def delete(path: Path, stop: threading.Event) -> None:
    """The same in this thread; it ends soon after `stop`."""
    try:
        if _is_directory(path):  # a link would be followed
            for folder, directories, files in os.walk(path, topdown=False):
                if stop.is_set():
                    return
                for name in (*files, *directories):
                    _remove(Path(folder, name))
        _remove(path)
    except FileNotFoundError:
        return  # somebody else deletes it too
    except OSError as error:
        logger.warning("not deleted path=%s: %s", path, error)


def _remove(path: Path) -> None:
    if _is_directory(path):
        path.rmdir()
    else:
        path.unlink()


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
