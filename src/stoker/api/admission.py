"""The third question at the door, after Host and Origin: does the caller have a key?

On every route but the two that say nothing. Through the unix socket nobody needs a key: whoever
can open its file is the user this daemon belongs to.
"""

from collections import Counter
from typing import Final, final

from aiohttp import hdrs, web

from stoker.access import LOCAL, Caller, KeyRing
from stoker.api.middleware import Handler
from stoker.api.scope import Scope, scope_of
from stoker.base.errors import Forbidden, KeyBusy, Unauthenticated
from stoker.gateway.caller import CALLER

_ANYONE: Final = Caller("anyone")
_STRANGER: Final = Caller("stranger", models=frozenset())
"""Sees what everybody sees."""
_HINT: Final = "send one as 'Authorization: Bearer stk_...'; for this command, set STOKER_API_KEY"


@final
class Admission:
    """Admits or refuses, and counts the requests of keys that may have only so many at a time.

    `required`: whether TCP needs a key; None: when other machines may connect, or there is a key.
    """

    def __init__(self, ring: KeyRing, *, required: bool | None, loopback: bool) -> None:
        self._ring = ring
        self._required = required
        self._loopback = loopback
        self._busy: Counter[str] = Counter()

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Know the caller, or refuse it."""
        unknown_route = request.match_info.http_exception is not None
        scope = scope_of(request.match_info.handler)
        caller = self._caller(request, public=scope is Scope.PUBLIC)
        request[CALLER] = caller
        if scope is Scope.MANAGEMENT and not unknown_route:
            require_manager(request)
        if not caller.concurrency or scope is not Scope.MODELS or request.method != hdrs.METH_POST:
            return await handler(request)
        if self._busy[caller.name] >= caller.concurrency:
            raise KeyBusy(
                f"{caller.name} has {caller.concurrency} requests in progress, as many as it may",
                hint="wait for one of them to end",
            )
        self._busy[caller.name] += 1
        try:
            return await handler(request)
        finally:
            self._busy[caller.name] -= 1

    def _caller(self, request: web.Request, *, public: bool) -> Caller:
        if not isinstance(request.get_extra_info("sockname"), tuple):
            self._ring.refresh()  # what engines are told depends on the keys of others
            return LOCAL
        secret = _secret(request)
        known = self._ring.find(secret) if secret else None
        if known:
            return known
        if not self._needed():
            return _ANYONE
        if public:
            return _STRANGER
        if secret:
            raise Unauthenticated("this API key is not known here", hint=_HINT)
        raise Unauthenticated("an API key is needed", hint=_HINT)

    def _needed(self) -> bool:
        if self._required is not None:
            return self._required
        return not self._loopback or bool(self._ring)


def require_manager(request: web.Request) -> None:
    """Refuse who may only use some models, or nothing at all."""
    caller = request[CALLER]
    if caller is _STRANGER:
        raise Unauthenticated("an API key is needed", hint=_HINT)
    if caller.restricted:
        raise Forbidden(
            f"{caller.name} may use models and manage nothing",
            hint="use a key that was made without --model",
        )


def require_own_socket(request: web.Request, what: str) -> None:
    """Refuse who comes by TCP what decides which programs run as this user. Raises Forbidden.

    There it could be another user of this machine, or a key that is to manage models; the socket is
    this user's alone. `what` begins the refusal.
    """
    if isinstance(request.get_extra_info("sockname"), tuple):
        raise Forbidden(
            f"{what} by this user, on this machine",
            hint="unset STOKER_HOST and MODEL_RUNNER_HOST, then the command uses the socket",
        )


def _secret(request: web.Request) -> str:
    """The key as OpenAI's clients send it, or as Anthropic's do."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    return request.headers.get("X-Api-Key", "").strip()
