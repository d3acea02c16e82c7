"""Tenants: what an engine remembers of one's prompts must not speed up, or show to, another.

An engine that has read a prompt answers one with the same beginning sooner, and says how much of it
it knew. Whoever may try prompts can so find out what somebody else asked. Nothing is done, and
nothing is slower, until there is a key that may only use some models.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from stoker.access import Caller
from stoker.engines.spec import Engine
from stoker.planner.spec import RunSettings


class Tenants:
    """`separate`: whether there is a tenant at all. Salts are new with each daemon."""

    def __init__(self, separate: Callable[[], bool]) -> None:
        self._separate = separate
        self._secret = secrets.token_bytes(32)

    def settings(self, engine: Engine, settings: RunSettings) -> RunSettings:
        """What to load a model with."""
        if not self._separate() or not engine.tenant_flags:
            return settings
        return replace(settings, runtime_flags=(*settings.runtime_flags, *engine.tenant_flags))

    def body(self, engine: Engine, caller: Caller, body: bytes) -> bytes:
        """What to send: a JSON object, like `body`."""
        if not self._separate():
            return body
        if not caller.tenant:
            return _with_defaults(body, engine.tenant_fields(None))
        salt = hashlib.blake2b(caller.tenant.encode(), key=self._secret).hexdigest()
        return _with_fields(body, engine.tenant_fields(salt))


def _with_fields(body: bytes, fields: Mapping[str, object]) -> bytes:
    """Of a field that comes twice, both engines take the last."""
    return body.rstrip()[:-1] + b"," + msgspec.json.encode(fields)[1:] if fields else body


def _with_defaults(body: bytes, fields: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(fields)[:-1] + b"," + body.lstrip()[1:] if fields else body
