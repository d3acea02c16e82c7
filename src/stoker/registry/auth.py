"""The challenge flow as a generator: it yields what to do, receives what came of it, does no I/O.

flow = authorize(request, ...)
step = next(flow)                 Send: send it, reply with the Answer
step = flow.send(reply)           Ask: look the credential up, reply with it
...                               StopIteration: the last Send of the request itself stands
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, NoReturn

from yarl import URL

from stoker.base.errors import AuthRequired
from stoker.net.hosts import host_name
from stoker.net.reach import Fence, Reach
from stoker.net.request import Request
from stoker.registry.challenge import Challenge
from stoker.registry.credentials import Credential, Secret
from stoker.registry.errand import Errand
from stoker.registry.failures import answer_error
from stoker.registry.place import login_command
from stoker.registry.realm import check_realm
from stoker.registry.tokens import Grant, TokenCache, read_grant, token_request

# A password is good until the process ends or the registry refuses it.
_PASSWORD_SECONDS: Final = 12 * 3600.0
_MAX_SCOPES: Final = 8
_MAX_SCOPE: Final = 1024


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request. With `fence` it goes to a token service, and its body is wanted."""

    request: Request
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Look up the credential for this host."""

    host: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `challenges` only from the registry's own host, `body` only for tokens."""

    status: int
    reach: Reach
    challenges: tuple[Challenge, ...] = ()
    body: bytes = b""
    retry_after: str | None = None


Step = Send | Ask
Reply = Answer | Credential
Flow = Generator[Step, Reply, None]


def authorize(
    request: Request,
    *,
    registry: URL,
    errand: Errand,
    cache: TokenCache,
    trusted: frozenset[str] = frozenset(),
) -> Flow:
    """Send a request with what the registry wants to see. Raises AuthRequired, Denied.

    At most one round of asking: a registry that refuses a brand-new token has decided.
    """
    host = host_name(registry)
    known = cache.header(host, errand.scopes)
    answer = yield from _send(_showing(request, known))
    if answer.status != 401:
        if known is None:
            cache.keep_open(host, errand.scopes)
        return
    cache.forget(host, errand.scopes)
    bearer = _first(answer.challenges, "bearer")
    basic = _first(answer.challenges, "basic")
    if bearer is None and basic is None:
        return  # nothing we can do; the 401 stands
    credential = yield from _ask(host)
    if bearer is not None:
        realm, least = check_realm(
            bearer.parameters.get("realm", ""), registry, answer.reach, trusted
        )
        fence = Fence(least, answer.reach)
        grant = yield from _token(
            realm, fence, challenge=bearer, errand=errand, credential=credential
        )
        cache.keep(host, errand.scopes, grant)
    else:
        if credential.basic is None:
            raise _unauthorized(errand, host, credential)
        grant = Grant(credential.basic, _PASSWORD_SECONDS)
        # Kept for the host as a whole; forgotten again when it is refused.
        cache.keep(host, frozenset(), grant)
    answer = yield from _send(_showing(request, grant.header))
    if answer.status == 401:
        cache.forget(host, errand.scopes)
        raise _unauthorized(errand, host, credential)


def _token(
    realm: URL,
    fence: Fence,
    *,
    challenge: Challenge,
    errand: Errand,
    credential: Credential,
) -> Generator[Step, Reply, Grant]:
    service = challenge.parameters.get("service", "")
    scopes = errand.scopes | _scopes_of(challenge)
    request = token_request(realm, service=service, scopes=scopes, credential=credential)
    answer = yield from _send(request, fence)
    host = host_name(realm)
    if answer.status == 200:
        return read_grant(answer.body, host)
    if answer.status == 429 or answer.status >= 500:
        raise answer_error(
            status=answer.status,
            body=b"",  # what a token service says is not for our log
            retry_after=answer.retry_after,
            host=host,
            elsewhere=True,
            errand=errand,
        )
    token = credential.identity_token
    if token is not None and credential.direct:
        # A token that came with the request may be one for the registry itself.
        return Grant(type(token)(f"Bearer {token.reveal()}"), _PASSWORD_SECONDS)
    raise _unauthorized(errand, host, credential)


def _unauthorized(errand: Errand, host: str, credential: Credential) -> AuthRequired:
    known = credential.username or ("a token" if credential.identity_token else "")
    return AuthRequired(
        f"{errand.failed}: UNAUTHORIZED - Authentication required for this model",
        origin=host,
        status=401,
        hint=f"{host} refused the login of {known}; log in again with `{login_command(host)}`"
        if known
        else f"log in with `{login_command(host)}`; a model that does not exist looks the same",
    )


def _scopes_of(challenge: Challenge) -> frozenset[str]:
    """The scopes that the registry itself names: several are separated by spaces."""
    named = challenge.parameters.get("scope", "").split()
    return frozenset(scope for scope in named[:_MAX_SCOPES] if len(scope) <= _MAX_SCOPE)


def _showing(request: Request, authorization: Secret | None) -> Request:
    if authorization is None:
        return request
    return request.with_headers(Authorization=authorization.reveal())


def _first(challenges: tuple[Challenge, ...], scheme: str) -> Challenge | None:
    return next((challenge for challenge in challenges if challenge.scheme == scheme), None)


def _send(request: Request, fence: Fence | None = None) -> Generator[Step, Reply, Answer]:
    reply = yield Send(request, fence)
    if not isinstance(reply, Answer):
        _misused()
    return reply


def _ask(host: str) -> Generator[Step, Reply, Credential]:
    reply = yield Ask(host)
    if not isinstance(reply, Credential):
        _misused()
    return reply


def _misused() -> NoReturn:
    raise TypeError("the driver of an authorisation flow replied with the wrong thing")
