"""The audit log: who changed what, and when. JSON lines that only their owner can read.

The daemon writes here, and so does the command line where it changes something by itself.
"""

import fcntl
import logging
import os
import pwd
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Final, final

import msgspec

from stoker.observe.lines import json_line, masked, rfc3339
from stoker.observe.request_id import request_id

logger = logging.getLogger(__name__)

_MAX_BYTES: Final = 4 * 1024 * 1024
_BACKUPS: Final = 4
_MAX_DETAIL: Final = 2048
"""Characters of one value; settings of a model are longer than any name."""
_MOST: Final = 100
"""Values of one list or object."""
_DEEPEST: Final = 8
"""Levels of objects in objects; settings of a model have three."""
_SECRET_NAMES: Final = ("token", "secret", "password", "bearer", "api_key", "api-key")


class Change(msgspec.Struct, omit_defaults=True):
    """One line. `result` is an HTTP status, or what the command line says."""

    who: str
    action: str
    result: int | str
    origin: str = msgspec.field(default="", name="from")
    what: dict[str, object] = msgspec.field(default_factory=dict)


def user_name(number: int) -> str:
    """What a user of this machine is called; in containers many have no more than a number."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@final
class AuditLog:
    """Appends to one file and keeps a few older ones; several processes may, at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, change: Change) -> None:
        """Write a line. A change that was made is not undone because this fails: it is logged."""
        shown = msgspec.structs.replace(change, what=_clean(change.what))
        said = {"time": rfc3339(time.time()), **msgspec.to_builtins(shown)}
        if name := request_id.get():
            said["request_id"] = name
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._append(json_line(said).encode() + b"\n")
        except OSError as error:
            logger.warning("no audit line for %s: %s", change.action, error)

    def _append(self, line: bytes) -> None:
        while True:
            file = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not self._is_current(file):
                    continue  # another process has just put it aside
                size = os.fstat(file).st_size
                if size and size + len(line) > _MAX_BYTES:  # an empty file takes any line
                    self._put_aside()
                    continue
                os.write(file, line)
                return
            finally:
                os.close(file)

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _put_aside(self) -> None:
        older = [self._path.with_name(f"{self._path.name}.{n}") for n in range(1, _BACKUPS + 1)]
        for source, target in reversed(list(zip([self._path, *older], older, strict=False))):
            if source.exists():
                source.replace(target)


def _clean(values: Mapping[str, object], level: int = 1) -> dict[str, object]:
    """Without secrets, and without what was left at nothing."""
    return {
        name[:_MAX_DETAIL]: _shown(name, value, level)
        for name, value in islice(values.items(), _MOST)
        if value not in (None, "", False, [], {})
    }


def _shown(name: str, value: object, level: int) -> object:
    if any(word in name.lower() for word in _SECRET_NAMES):
        return "***"
    if isinstance(value, dict | list) and level == _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return _clean(value, level + 1)
    if isinstance(value, list):
        return [_shown("", one, level + 1) for one in value[:_MOST]]
    return masked(value)[:_MAX_DETAIL] if isinstance(value, str) else value
