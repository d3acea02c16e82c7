"""Changes to the named addresses of daemons: one at a time, each all or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from stoker.client.contexts import Contexts, read_contexts
from stoker.store.durable import disk_errors, replace_file
from stoker.store.lock import StoreLock


@contextmanager
def changing(path: Path) -> Iterator[Contexts]:
    """What the block leaves in the value is written when it ends well. Raises StorageError, Locked.

    Others wait meanwhile; readers see the old file or the new one.
    """
    with disk_errors("write", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with StoreLock(path.with_suffix(".lock"), what="the list of contexts").held():
        contexts = read_contexts(path)
        yield contexts
        data = msgspec.json.format(msgspec.json.encode(contexts), indent=2)
        with disk_errors("write", path):
            replace_file(path, data + b"\n", scratch=path.parent)
