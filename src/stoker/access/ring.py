"""The daemon's view of the keys: looked up in memory, read again when the file has changed."""

import hmac
import os
from collections.abc import Callable
from typing import Final, final

from stoker.access.caller import Caller
from stoker.access.keys import Key, KeyFile, fingerprint
from stoker.base.turn import Turn
from stoker.oci.reference import parse_reference

_ABSENT: Final = (0, 0, 0)
_INDEXED: Final = 8
"""Hex digits of a hash that keys are found by; the rest is compared in constant time."""


@final
class KeyRing:
    """Finds the caller that a key stands for. `default_registry` completes names of models.

    `first_tenant` is called when there is a key for some models only, and there was none before.
    """

    def __init__(
        self,
        file: KeyFile,
        *,
        default_registry: str,
        first_tenant: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = file
        self._path = str(file.path)
        self._turn = Turn()
        self._registry = default_registry
        self._first_tenant = first_tenant
        self._tenants = False
        self._seen: tuple[int, int, int] | None = None
        self._callers: dict[str, list[tuple[str, Caller]]] = {}

    def __bool__(self) -> bool:
        """Whether there is any key. Raises CorruptStore, StorageError."""
        self.refresh()
        return bool(self._callers)

    def has_tenants(self) -> bool:
        """Whether any key was for some models only at the last look."""
        return self._tenants

    def find(self, secret: str) -> Caller | None:
        """Whom this key stands for. Raises CorruptStore, StorageError."""
        self.refresh()
        mark = fingerprint(secret)
        for known, caller in self._callers.get(mark[:_INDEXED], ()):
            if hmac.compare_digest(known, mark):
                return caller
        return None

    def refresh(self) -> None:
        """One stat; a file that was replaced has another inode, and one edited by hand a time."""
        if self._seen and not self._turn.first():
            return
        last, self._seen = self._seen, None  # until it could be read
        try:
            found = os.stat(self._path)  # noqa: PTH116  # on every request: half of Path.stat
        except FileNotFoundError:
            self._seen, self._callers, self._tenants = _ABSENT, {}, False
            return
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen == last:
            self._seen = seen
            return
        callers: dict[str, list[tuple[str, Caller]]] = {}
        for key in self._file.read():
            callers.setdefault(key.sha256[:_INDEXED], []).append((key.sha256, self._caller(key)))
        had_tenants = self._tenants
        self._tenants = any(c.restricted for found in callers.values() for _, c in found)
        self._seen, self._callers = seen, callers
        if self._tenants and not had_tenants:
            self._first_tenant()

    def _caller(self, key: Key) -> Caller:
        names = (parse_reference(m, default_registry=self._registry).tagged for m in key.models)
        models = frozenset(str(name) for name in names) if key.models else None
        return Caller(f"key {key.name}", models, key.concurrency)
