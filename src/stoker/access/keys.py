"""API keys at rest: one JSON file of hashes, which several processes may change at once."""

import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

import msgspec

from stoker.base.errors import Conflict, CorruptStore, InvalidSetting, NotFound
from stoker.oci.reference import parse_reference
from stoker.store.durable import disk_errors, replace_file
from stoker.store.lock import StoreLock

PREFIX: Final = "stk_"
"""By which scanners for leaked secrets, and our own logs, know a key."""
_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a key. `created` in Unix seconds; `models` as they were typed, empty: all.

    `concurrency`: requests to models at a time, 0 for any number.
    """

    name: str
    sha256: str
    created: int
    models: tuple[str, ...] = ()
    concurrency: int = 0


def fingerprint(secret: str) -> str:
    """What is kept instead of a key: its SHA-256, in hex.

    A plain hash is right here. Slow and salted ones protect passwords that people think of, of
    which there are few; a key is 256 random bits, which nobody can try one after the other, and
    each request pays for the hash.
    """
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


@final
class KeyFile:
    """The keys of one daemon. Readable by its user alone, replaced as a whole on every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = StoreLock(path.with_suffix(".lock"), what="the list of keys")

    def read(self) -> tuple[Key, ...]:
        """All of them, oldest first. Raises CorruptStore, StorageError."""
        if not self.path.exists():
            return ()
        with disk_errors("read", self.path):
            data = self.path.read_bytes()
        try:
            return msgspec.json.decode(data, type=tuple[Key, ...])
        except msgspec.MsgspecError as error:
            raise CorruptStore(
                f"{self.path} is not readable as a list of keys: {error}",
                hint="mend it, or delete it and make new keys with: stoker key add NAME",
            ) from error

    def add(self, name: str, models: Sequence[str] = (), concurrency: int = 0) -> str:
        """Make a key and answer it; it cannot be had again.

        Raises InvalidSetting, InvalidReference, Conflict when there is one of that name.
        """
        if not _NAME.fullmatch(name):
            raise InvalidSetting(
                f"{name!r} cannot be the name of a key",
                hint="up to 64 letters, digits, '.', '_' and '-'; a letter or digit first",
            )
        if concurrency < 0:
            raise InvalidSetting(f"a key cannot have {concurrency} requests at a time")
        for model in models:
            if parse_reference(model).digest:
                raise InvalidSetting(
                    f"a key is for names of models, not for one content: {model}",
                    hint="leave out what follows the @",
                )
        secret = PREFIX + secrets.token_urlsafe(_BYTES)
        made = Key(name, fingerprint(secret), int(time.time()), tuple(models), concurrency)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.held():
            here = self.read()
            if any(key.name == name for key in here):
                raise Conflict(
                    f"there is a key named {name} already",
                    hint=f"choose another name, or remove it: stoker key rm {name}",
                )
            self._write([*here, made])
        return secret

    def remove(self, name: str) -> None:
        """Make a key worthless. Raises NotFound when there is none of that name."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.held():
            here = self.read()
            left = [key for key in here if key.name != name]
            if len(left) == len(here):
                raise NotFound(f"no such key: {name}", hint="stoker key list shows them")
            self._write(left)

    def _write(self, keys: Sequence[Key]) -> None:
        data = msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n"
        with disk_errors("write", self.path):
            replace_file(self.path, data, scratch=self.path.parent, mode=0o600)
