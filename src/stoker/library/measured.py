"""What models took when they were loaded last: by content, engine build and options."""

import hashlib
import logging
from collections.abc import Hashable
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from stoker.engines.measured import BufferLog
from stoker.oci.digest import Digest
from stoker.store.durable import replace_file

logger = logging.getLogger(__name__)

_MOST: Final = 500
Sizes = dict[str, dict[str, int]]
"""Device to kind of buffer to bytes."""


class _Entry(msgspec.Struct):
    model: str
    build: str
    options: str
    bytes: Sizes
    speed: float = 0.0
    """Tokens a second of the fastest answer of its last life."""


class MeasuredStore:
    """One JSON file. Everything in it can be measured again: a broken one is begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = {(e.model, e.build, e.options): e for e in self._read()}
        self._live = WeakValueDictionary[tuple[str, str, str], BufferLog]()
        """The logs of those that run; what was fastest in a log that has ended is in its entry."""

    def of(self, model: Digest, build: str, options: Hashable) -> Sizes | None:
        """What it took the last time; None when it never ran so.

        `options`: all that decides that, with a `repr` of its own.
        """
        found = self._entries.get((model, build, _digest(options)))
        return found.bytes if found else None

    def speed_of(self, model: Digest, build: str, options: Hashable) -> float:
        """Tokens a second of its fastest answer, in this life or the last; 0 when unknown."""
        key = (model, build, _digest(options))
        log, found = self._live.get(key), self._entries.get(key)
        return (log.fastest if log else 0.0) or (found.speed if found else 0.0)

    def note(
        self, model: Digest, build: str, options: Hashable, sizes: Sizes, log: BufferLog
    ) -> None:
        """Remember what an engine took: when it is loaded, and once more when it ended.

        Written only when it is news; forgotten oldest first.
        """
        key = (model, build, _digest(options))
        speed = log.fastest or self.speed_of(model, build, options)
        self._live[key] = log
        entry = _Entry(*key, sizes, round(speed, 2))
        if not entry.bytes or self._entries.get(key) == entry:
            return
        self._entries[key] = entry
        while len(self._entries) > _MOST:
            self._entries.pop(next(iter(self._entries)))
        self._write()

    def _read(self) -> list[_Entry]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[_Entry])
        except FileNotFoundError:
            return []
        except (msgspec.MsgspecError, OSError) as error:
            logger.warning("measured sizes are begun anew path=%s: %s", self._path, error)
            return []

    def _write(self) -> None:
        data = msgspec.json.encode(list(self._entries.values()))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, data, scratch=self._path.parent, durable=False, mode=0o600)
        except OSError as error:
            # Only a memory: the next load measures again.
            logger.warning("measured sizes are not kept path=%s: %s", self._path, error)


def _digest(options: Hashable) -> str:
    return hashlib.sha256(repr(options).encode()).hexdigest()[:16]
