"""The hub's error answers turned into our errors: the only place where they are looked at."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stoker.base.errors import (
    AuthRequired,
    Broken,
    Denied,
    HubError,
    ModelNotFound,
    RateLimited,
    RemoteError,
    StokerError,
)
from stoker.hub.options import Token
from stoker.hub.wire import retry_after
from stoker.net.failures import shown


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


def answer_error(
    status: int, headers: Mapping[str, str], errand: Errand, *, host: str, elsewhere: bool
) -> StokerError:
    """The error an answer stands for, by status and the hub's `X-Error-Code`.

    `elsewhere`: it came from a host that the hub sent us to, where 401 to 404 say nothing about the
    model or the user's token (it means that its signature has expired). Bodies are not looked at.
    """
    code = headers.get("X-Error-Code", "")
    said = headers.get("X-Error-Message", "")
    quoted = f" ({shown(said)})" if said else ""
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
