"""What `start-runner` was told: it holds for later starts too, until it is told otherwise.

A small JSON file of our own, so that nobody's `config.toml` is ever rewritten.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidSetting, StorageError

KEYS: Final = ("host", "port", "gpu", "tls", "tls_cert", "tls_key")
"""Settings of `base/config` that are remembered."""


def read_remembered(path: Path) -> dict[str, object]:
    """Setting name to value; empty when nothing was remembered. Raises InvalidSetting."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidSetting(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(found, dict) or not found.keys() <= set(KEYS):
        raise _damaged(path)
    return found


@contextmanager
def remembering(path: Path, values: Mapping[str, object]) -> Iterator[None]:
    """Remember these beside what is remembered already, unless the block raises.

    Raises StorageError.
    """
    before = path.read_bytes() if path.exists() else None
    if not values:
        yield
        return
    merged = {**(read_remembered(path) if before else {}), **values}
    _replace(path, json.dumps(merged, indent=2).encode() + b"\n")
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            _replace(path, before)
        raise


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _damaged(path: Path) -> InvalidSetting:
    return InvalidSetting(
        f"{path} is damaged: not what start-runner writes there",
        hint="remove it; the address is then the default, or what start-runner is told",
    )
