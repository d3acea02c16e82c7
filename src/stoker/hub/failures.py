"""Foreign failures turned into ours: aiohttp's exceptions and the hub's error answers.

The only place of this package where either is looked at.
"""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import aiohttp

from stoker.base.errors import (
    AuthRequired,
    Denied,
    HubError,
    ModelNotFound,
    RateLimited,
    RemoteError,
    StokerError,
    Unreachable,
)
from stoker.hub.options import Token
from stoker.hub.wire import retry_after

_MAX_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Errand:
    """What a request is for, as far as error messages need it."""

    failed: str
    """How every message begins."""
    page: str
    """Of the model, for a browser."""
    token: Token | None = None

    @classmethod
    def pull(cls, repository: str, endpoint: str, token: Token | None) -> "Errand":
        """To pull a model."""
        return cls(
            f"failed to pull model {repository} from Hugging Face",
            f"{endpoint}/{repository}",
            token,
        )

    def with_file(self, path: str) -> "Errand":
        """The same, about one file."""
        return replace(self, failed=f"{self.failed}: {ascii(path)[1:-1]}")


class Broken(Unreachable):
    """A connection that failed in a way that may pass: worth another try."""


def connection_error(error: Exception, host: str, *, phase: str = "") -> RemoteError:
    """What an exception of aiohttp or the socket layer means."""
    during = f" {phase}" if phase else ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unreachable(
            f"the certificate of {host} is not trusted: {_shown(error.certificate_error)}",
            origin=host,
            hint="name the bundle with its authority in SSL_CERT_FILE or REQUESTS_CA_BUNDLE",
        )
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Unreachable(
            f"no TLS connection to {host}: {_shown(error)}",
            origin=host,
            hint="check HF_ENDPOINT, and any proxy in between",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Broken(
            f"cannot find the host {host}: {_shown(error.os_error)}",
            origin=host,
            hint="check this machine's DNS and network, and HF_ENDPOINT if it is set",
        )
    if isinstance(error, TimeoutError):
        return Broken(
            f"{host} did not answer in time{during}",
            origin=host,
            hint="the hub or the network in between is slow; try again",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Broken(
            f"cannot connect to {host}: {error.os_error.strerror or _shown(error.os_error)}",
            origin=host,
            hint="check the network; behind a firewall set HTTPS_PROXY, or HF_ENDPOINT to a mirror",
        )
    return Broken(
        f"the connection to {host} broke{during}: {_shown(error) or type(error).__name__}",
        origin=host,
        hint="try again; what has arrived is kept",
    )


def answer_error(
    status: int, headers: Mapping[str, str], errand: Errand, *, host: str, elsewhere: bool
) -> StokerError:
    """The error an answer stands for, by status and the hub's `X-Error-Code`.

    `elsewhere`: it came from a host that the hub sent us to, where 401 to 404 say nothing about the
    model or the user's token (it means that its signature has expired). Bodies are not looked at.
    """
    code = headers.get("X-Error-Code", "")
    said = headers.get("X-Error-Message", "")
    quoted = f" ({_shown(said)})" if said else ""
    what = errand.failed
    if status == 429:
        wait = retry_after(headers.get("Retry-After"), headers.get("RateLimit"), now=time.time())
        return RateLimited(
            f"{what}: {host} limits how often it may be asked",
            origin=host,
            retry_after=wait,
            hint=_limit_hint(errand, wait),
        )
    if elsewhere:
        return _elsewhere(status, what, host)
    if code == "GatedRepo":
        return _gated(status, errand, host)
    if status == 401:
        return _unauthorized(status, errand, host, quoted)
    if status == 403:
        return Denied(
            f"{what}: access denied{quoted}",
            origin=host,
            status=status,
            hint=f"the account behind {_token_of(errand)} has no access; see {errand.page}",
        )
    if status == 404:
        return ModelNotFound(f"{what}: {_missing(code)}", hint=f"check the name at {errand.page}")
    return HubError(f"{what}: {host} answered with status {status}{quoted}", origin=host,
                    status=status)  # fmt: skip


def _elsewhere(status: int, what: str, host: str) -> RemoteError:
    if status in {400, 401, 403, 404, 410}:
        # Signed addresses expire (S3 says 400 or 403); asking the hub again gives a fresh one.
        return Broken(f"{what}: {host} answered with status {status}", origin=host, status=status,
                      hint="try again; what has arrived is kept")  # fmt: skip
    return HubError(f"{what}: {host} answered with status {status}", origin=host, status=status)


def _gated(status: int, errand: Errand, host: str) -> RemoteError:
    what = f"{errand.failed}: the model is gated"
    terms = f"accept its terms at {errand.page}"
    if errand.token is None:
        return AuthRequired(
            f"{what}, and no token was sent",
            origin=host,
            status=status,
            hint=f"{terms}, then set HF_TOKEN to a token of that account",
        )
    return Denied(
        f"{what}, and the account behind {_token_of(errand)} has no access",
        origin=host,
        status=status,
        hint=f"{terms} with that account, and check that the token in HF_TOKEN may read it",
    )


def _unauthorized(status: int, errand: Errand, host: str, quoted: str) -> RemoteError:
    if errand.token is None:
        return AuthRequired(
            f"{errand.failed}: not found, or private{quoted}",
            origin=host,
            status=status,
            hint=f"check the name at {errand.page}; for a private model set HF_TOKEN",
        )
    return AuthRequired(
        f"{errand.failed}: {host} refused {_token_of(errand)}{quoted}",
        origin=host,
        status=status,
        hint=f"the token may have expired: set HF_TOKEN anew; the model's page is {errand.page}",
    )


def _missing(code: str) -> str:
    return {
        "RevisionNotFound": "no such revision",
        "EntryNotFound": "the file is gone",
    }.get(code, "Model not found")


def _limit_hint(errand: Errand, wait: float | None) -> str:
    when = "wait a little" if wait is None else f"wait {wait:.0f} s"
    more = "" if errand.token else ", or set HF_TOKEN: accounts have higher limits"
    return f"{when} and try again{more}"


def _token_of(errand: Errand) -> str:
    return f"the token of {errand.token.origin}" if errand.token else "this request"


def _shown(text: object) -> str:
    """Foreign text fit for a log and a terminal: one line, printable, short."""
    flat = " ".join(str(text).split())
    flat = "".join(c if c.isprintable() else "?" for c in flat)
    return flat if len(flat) <= _MAX_SHOWN else f"{flat[:_MAX_SHOWN]}..."
