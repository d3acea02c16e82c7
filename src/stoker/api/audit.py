"""Enters every change that somebody was admitted to make into the audit log."""

import socket
import struct
from typing import Final, final

import msgspec
from aiohttp import hdrs, web

from stoker.access import LOCAL
from stoker.api.errors import status_of
from stoker.api.middleware import Handler
from stoker.api.scope import Scope, scope_of
from stoker.base.errors import StokerError
from stoker.gateway.caller import CALLER
from stoker.observe.audit import AuditLog, Change, user_name

ASKED: Final = web.RequestKey("asked", object)
"""The body of a management request, as it was understood."""
FAILED: Final = web.RequestKey("failed", StokerError)
"""What went wrong after an answer of status 200 had begun."""

_CHANGING: Final = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_DELETE, hdrs.METH_PATCH})
_LEFT: Final = "client left"


@final
class Audit:
    """The middleware inside of admission: who is refused there could else fill the log."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note a change when it is over, however it ends."""
        scope = scope_of(request.match_info.handler)
        known = request.match_info.http_exception is None
        if not known or request.method not in _CHANGING or scope is not Scope.MANAGEMENT:
            return await handler(request)
        result: int | str = _LEFT
        try:
            response = await handler(request)
            failed = request.get(FAILED)
            result = failed.code if failed else response.status
            return response
        except StokerError as error:
            result = status_of(error)
            raise
        finally:
            self._log.note(_change(request, result))


def _change(request: web.Request, result: int | str) -> Change:
    asked = request.get(ASKED)
    what = {**request.query, **(msgspec.to_builtins(asked) if asked is not None else {})}
    caller = request[CALLER]
    who = f"user {_peer(request)}" if caller is LOCAL else caller.name
    return Change(who, f"{request.method} {request.path}", result, request.remote or "socket", what)


def _peer(request: web.Request) -> str:
    """The user at the other end of the unix socket, where the system tells."""
    line = request.get_extra_info("socket")
    option = getattr(socket, "SO_PEERCRED", None)
    if line is None or option is None:
        return "local"
    _, uid, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, option, 12))
    return user_name(uid)
