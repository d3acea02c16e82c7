"""The daemon's view of the keys: looked up in memory, read again when the file has changed."""

import hmac
from typing import Final, final

from stoker.access.caller import Caller
from stoker.access.keys import Key, KeyFile, fingerprint
from stoker.oci.reference import parse_reference

_INDEXED: Final = 8
"""Hex digits of a hash that keys are found by; the rest is compared in constant time."""


@final
class KeyRing:
    """Finds the caller that a key stands for. `default_registry` completes names of models."""

    def __init__(self, file: KeyFile, *, default_registry: str) -> None:
        self._file = file
        self._registry = default_registry
        self._seen: tuple[int, int, int] | None = None
        self._callers: dict[str, list[tuple[str, Caller]]] = {}

    def __bool__(self) -> bool:
        """Whether there is any key. Raises CorruptStore, StorageError."""
        self._refresh()
        return bool(self._callers)

    def find(self, secret: str) -> Caller | None:
        """Whom this key stands for. Raises CorruptStore, StorageError."""
        self._refresh()
        mark = fingerprint(secret)
        for known, caller in self._callers.get(mark[:_INDEXED], ()):
            if hmac.compare_digest(known, mark):
                return caller
        return None

    def _refresh(self) -> None:
        """One stat; a file that was replaced has another inode, and one edited by hand a time."""
        try:
            found = self._file.path.stat()
        except FileNotFoundError:
            self._seen, self._callers = None, {}
            return
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen == self._seen:
            return
        callers: dict[str, list[tuple[str, Caller]]] = {}
        for key in self._file.read():
            callers.setdefault(key.sha256[:_INDEXED], []).append((key.sha256, self._caller(key)))
        self._seen, self._callers = seen, callers

    def _caller(self, key: Key) -> Caller:
        names = (parse_reference(m, default_registry=self._registry).tagged for m in key.models)
        models = frozenset(str(name) for name in names) if key.models else None
        return Caller(f"key {key.name}", models, key.concurrency)
