"""Changes to the named addresses of daemons: one at a time, each all or nothing."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from stoker.client.contexts import Contexts, read_contexts
from stoker.store.durable import disk_errors, replace_file


@contextmanager
def changing(path: Path) -> Iterator[Contexts]:
    """What the block leaves in the value is written when it ends well. Raises StorageError.

    Others wait meanwhile; readers see the old file or the new one.
    """
    with disk_errors("write", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        contexts = read_contexts(path)
        yield contexts
        data = msgspec.json.format(msgspec.json.encode(contexts), indent=2)
        with disk_errors("write", path):
            replace_file(path, data + b"\n", scratch=path.parent)
