"""Small JSON files of the daemon's own, beside the models."""

from pathlib import Path

import msgspec

from stoker.store.durable import disk_errors, replace_file


def write_kept(path: Path, value: object) -> None:
    """Replace the file as a whole: readers see the old one or the new one. Raises StorageError."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=2)
    with disk_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data, scratch=path.parent, mode=0o600)
