"""Which web pages may talk to the daemon: Host against DNS rebinding, Origin against strangers.

A browser lets every page send requests to 127.0.0.1. Headers it sets by itself tell them apart, and
are checked before any work is done, on every route. Programs send no Origin and pass. Nor does a
page that only wants an image or a frame: there browsers send Sec-Fetch-Site and its companions
(https://www.w3.org/TR/fetch-metadata/).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web
from yarl import URL

from stoker.api.middleware import Handler

_LOCAL: Final = ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")  # noqa: S104  # names, no binding
# How containers reach the machine they run on.
_DOCKER: Final = ("model-runner.docker.internal", "host.docker.internal", "gateway.docker.internal")

# A page may send these to other sites without asking them first.
_SIMPLE: Final = frozenset({
    "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
})  # fmt: skip
_READING: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})

_NO_HOST: Final = re.compile(r"[/?#@\\]")
"""What ends the host of a URL, or comes before it."""

_REFUSED: Final = web.ResponseKey("refused", bool)
"""Of an answer that no page may read."""

_PREFLIGHT: Final = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    # The asterisk does not cover Authorization, and nothing at all where cookies may come along.
    "Access-Control-Allow-Headers": "*, Authorization, Content-Type, X-Api-Key, X-Request-Id",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """`origins`: as in DMR_ORIGINS; `*` is everybody, a port may be `*`. `hosts`: names we have.

    None for `hosts`: every name is ours, which is right when other machines may connect.
    """

    origins: frozenset[str]
    hosts: frozenset[str] | None

    @classmethod
    def of(cls, origins: Sequence[str], hosts: Sequence[str], *, listen: str) -> "Policy":
        """The policy of a daemon that listens on this address; both lists add to what is local."""
        local = {
            f"{s}://{host}{p}" for s in ("http", "https") for host in _LOCAL for p in ("", ":*")
        }
        named = frozenset(name.lower() for name in (*_LOCAL, *_DOCKER, *hosts))
        return cls(
            frozenset({*local, *(origin.lower().rstrip("/") for origin in origins)}),
            named if is_loopback(listen) else None,
        )

    @property
    def for_everybody(self) -> bool:
        """Whether pages of any origin may talk to us."""
        return "*" in self.origins

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of this origin may talk to us."""
        origin = origin.lower()
        scheme, _, rest = origin.partition("://")
        # The port is what follows the last colon, unless that belongs to an IPv6 address.
        host, colon, port = rest.rpartition(":")
        any_port = f"{scheme}://{host if colon and port.isdigit() else rest}:*"
        return bool(self.origins & {"*", origin, any_port})

    def allows_host(self, header: str) -> bool:
        """Whether this Host header is a name of ours. An address cannot be rebound: it passes."""
        if self.hosts is None or not header:
            return True
        host = _host_of(header)
        return host in self.hosts or host.endswith(".localhost") or _is_address(host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Gatekeeper:
    """The policy as a middleware and a signal; `install` puts both into an application."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._preflight = dict(_PREFLIGHT)
        if policy.for_everybody:
            # Everybody may ask, but nobody with the credentials a browser keeps.
            del self._preflight["Access-Control-Allow-Credentials"]

    def install(self, app: web.Application) -> None:
        """Guard every route of the application, unknown ones included."""
        app.middlewares.append(self.guard)
        app.on_response_prepare.append(_mark)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse strangers, answer preflights, let everybody else through."""
        by_tcp = isinstance(request.get_extra_info("sockname"), tuple)
        if by_tcp and not self._policy.allows_host(request.headers.get(hdrs.HOST, "")):
            return _refusal(403, "Host not allowed")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            if _is_foreign(request) and not self._policy.for_everybody:
                return _refusal(403, "Origin not allowed")
            return await handler(request)
        if not self._policy.allows_origin(origin):
            return _refusal(403, "Origin not allowed")
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=self._preflight)
        if request.method not in _READING and request.can_read_body and _is_simple(request):
            return _refusal(415, "Content-Type must be application/json")
        return await handler(request)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the browser that its page may read the answer; refused origins never are."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and _REFUSED not in response:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)


def _refusal(status: int, text: str) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    response = web.Response(status=status, text=f"{text}\n", headers=headers)
    response[_REFUSED] = True
    return response


def _is_foreign(request: web.Request) -> bool:
    """Whether a page of another site is behind it, unless it only links to a page of ours.

    Questions begin with a `?`: one that is asked by GET may load a model, or go to a registry.
    """
    headers = request.headers
    if headers.get("Sec-Fetch-Site") != "cross-site":
        return False
    document = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest"))
    linked = request.method in _READING and document == ("navigate", "document")
    return not linked or bool(request.query_string)


def _is_simple(request: web.Request) -> bool:
    sent = request.headers.get(hdrs.CONTENT_TYPE, "")
    return sent.partition(";")[0].strip().lower() in _SIMPLE


@lru_cache(maxsize=256)
def _host_of(header: str) -> str:
    if _NO_HOST.search(header):
        return "?"  # not a host at all, hence none of ours
    try:
        host = URL.build(scheme="http", authority=header.strip()).raw_host or ""
    except ValueError:
        return "?"
    return f"[{host}]" if ":" in host else host.lower().rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
