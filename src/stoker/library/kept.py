"""Small JSON files of the daemon's own, beside the models."""

import os
import tempfile
from pathlib import Path

import msgspec

from stoker.base.errors import StorageError


def write_kept(path: Path, value: object) -> None:
    """Replace the file as a whole: readers see the old one or the new one. Raises StorageError."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write settings to {path}: {error.strerror}",
            hint="check free space and permissions",
        ) from error
