"""Tokens: asking a token service for one, reading its answer, and keeping it while it lasts. Pure.

After the distribution project's "Token Authentication Specification" and "OAuth2 Token
Authentication".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlencode

import msgspec
from yarl import URL

from stoker.base.errors import RegistryError
from stoker.net.request import Request
from stoker.registry.credentials import Credential, Secret

# A token must fit into a request header (some 16 KiB); an answer may hold two of them, and JSON
# around them. oras-go reads the same.
MAX_TOKEN_ANSWER: Final = 128 * 1024
_MAX_TOKEN: Final = 32 * 1024
CLIENT_ID: Final = "stoker"
# "If omitted, this defaults to 60 seconds", and "a token should never be returned with less than
# 60 seconds to live".
_DEFAULT_SECONDS: Final = 60.0
_MAX_SECONDS: Final = 12 * 3600.0
# Renewed this much before the end, so that a request does not cross it.
_MARGIN: Final = 0.1
_MAX_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class Grant:
    """An `Authorization` value and for how many seconds it is good."""

    header: Secret
    seconds: float


class _Wire(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


def token_request(
    realm: URL, *, service: str, scopes: frozenset[str], credential: Credential
) -> Request:
    """The request for a token: POST for an identity token, GET with or without a password."""
    if credential.identity_token is not None:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": CLIENT_ID,
            "scope": " ".join(sorted(scopes)),
            "refresh_token": credential.identity_token.reveal(),
        }
        return Request(
            "POST",
            realm,
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
            repeatable=True,
            secret_body=True,
        )
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in sorted(scopes)]
    if credential.username:
        query += [("account", credential.username), ("client_id", CLIENT_ID)]
    request = Request("GET", realm.extend_query(query))
    basic = credential.basic
    return request.with_headers(Authorization=basic.reveal()) if basic else request


def read_grant(body: bytes, host: str) -> Grant:
    """Decode a token service's answer. Raises RegistryError; the body is never quoted."""
    try:
        wire = msgspec.json.decode(body, type=_Wire)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RegistryError(f"the token service {host} sent no token", origin=host) from None
    token = wire.token or wire.access_token
    # "Compliance": visible ASCII only, or it could write headers of its own.
    if not token or len(token) > _MAX_TOKEN or not (token.isascii() and token.isprintable()):
        raise RegistryError(f"the token service {host} sent no usable token", origin=host)
    seconds = wire.expires_in if wire.expires_in is not None else _DEFAULT_SECONDS
    bounded = min(max(seconds, _DEFAULT_SECONDS), _MAX_SECONDS)
    return Grant(Secret(f"Bearer {token}"), bounded * (1 - _MARGIN))


Key = tuple[str, frozenset[str]]


@final
class TokenCache:
    """Authorisation by host and scopes. One per set of credentials, so that none is lent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[Key, tuple[Secret | None, float]] = {}

    def knows(self, host: str, scopes: frozenset[str]) -> bool:
        """True when a request can go out without asking first."""
        return self._entry(host, scopes) is not None

    def header(self, host: str, scopes: frozenset[str]) -> Secret | None:
        """The `Authorization` value for this request, if one is known and fresh."""
        entry = self._entry(host, scopes)
        return entry[0] if entry else None

    def keep(self, host: str, scopes: frozenset[str], grant: Grant) -> None:
        """Remember a token, or a password when `scopes` is empty: it is good for all of them."""
        self._put((host, scopes), grant.header, grant.seconds)

    def keep_open(self, host: str, scopes: frozenset[str]) -> None:
        """Remember that this needs no authorisation."""
        self._put((host, scopes), None, _DEFAULT_SECONDS)

    def forget(self, host: str, scopes: frozenset[str]) -> None:
        """The registry refused what was kept."""
        self._kept.pop((host, scopes), None)
        self._kept.pop((host, frozenset()), None)

    def _put(self, key: Key, header: Secret | None, seconds: float) -> None:
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[key] = (header, self._clock() + seconds)

    def _entry(self, host: str, scopes: frozenset[str]) -> tuple[Secret | None, float] | None:
        now = self._clock()
        for key in ((host, scopes), (host, frozenset[str]())):
            entry = self._kept.get(key)
            if entry and entry[1] > now:
                return entry
        return None
