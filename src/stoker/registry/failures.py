"""A registry's error answers turned into our errors: the only place where they are looked at."""

import time
from typing import Final

import msgspec

from stoker.base.errors import (
    AuthRequired,
    Denied,
    DigestMismatch,
    ModelNotFound,
    RateLimited,
    RegistryError,
    SizeMismatch,
    StokerError,
)
from stoker.net.failures import shown
from stoker.net.retry import parse_retry_after
from stoker.registry.errand import Errand
from stoker.registry.place import login_command

# An error answer is a few hundred bytes; a storage server's may be a page of XML.
MAX_ERROR_BODY: Final = 64 * 1024


class _WireError(msgspec.Struct):
    code: str = ""
    message: str | None = None


class _WireErrors(msgspec.Struct):
    errors: list[_WireError] | None = None


def answer_error(
    *,
    status: int,
    body: bytes,
    retry_after: str | None,
    host: str,
    elsewhere: bool,
    errand: Errand,
) -> StokerError:
    """The error an answer stands for.

    `elsewhere`: it came from a host that the registry sent us to, where 401 to 404 say nothing
    about the model or the user's login. The texts of missing and unauthorised models are
    those of Docker Model Runner. Only the code of a registry's error list is shown, and its message
    in a quoted, shortened form: the body is a stranger's.
    """
    code, said = _registry_words(body)
    what = errand.failed
    if status == 401 and not elsewhere:
        return AuthRequired(
            f"{what}: UNAUTHORIZED - Authentication required for this model",
            origin=host,
            status=status,
            hint=f"log in with `{login_command(host)}`; a name that does not exist looks the same",
        )
    if status == 403 and not elsewhere:
        return Denied(
            f"{what}: DENIED - {host} does not allow it{said}",
            origin=host,
            status=status,
            hint="the account is known but lacks the right to do this, or the name is reserved",
        )
    if status == 404 and errand.action == "push":
        return RegistryError(
            f"{what}: {host} has no such repository or upload{said}",
            origin=host,
            status=status,
            hint="some registries want a repository to be created before the first push",
        )
    if status == 404 and code == "BLOB_UNKNOWN":
        return RegistryError(
            f"{what}: BLOB_UNKNOWN - {host} lists content that it does not have",
            origin=host,
            status=status,
            hint="the model was pushed incompletely, or cleaned up; ask its owner to push it again",
        )
    if status == 404 and not elsewhere:
        unknown = code if code in {"NAME_UNKNOWN", "MANIFEST_UNKNOWN"} else "MANIFEST_UNKNOWN"
        return ModelNotFound(f"{what}: {unknown} - Model not found")
    if status == 429:
        return RateLimited(
            f"{what}: {host} limits how often it may be asked{said}",
            origin=host,
            retry_after=parse_retry_after(retry_after, now=time.time()),
            hint="wait, or log in: accounts have higher limits than anonymous users",
        )
    if code == "DIGEST_INVALID":
        return DigestMismatch(f"{what}: {host} computed another digest than ours{said}")
    if code == "SIZE_INVALID":
        return SizeMismatch(f"{what}: {host} counted another size than ours{said}")
    shown = f" {code}" if code else ""
    return RegistryError(
        f"{what}: {host} answered with status {status}{shown}{said}", origin=host, status=status
    )


def _registry_words(body: bytes) -> tuple[str, str]:
    """Code and message of the first error (distribution specification, "Error Codes")."""
    try:
        wire = msgspec.json.decode(body, type=_WireErrors)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", ""
    if not wire.errors:
        return "", ""
    first = wire.errors[0]
    code = first.code if first.code.replace("_", "").isalnum() and len(first.code) < 64 else ""
    return code.upper(), f" ({shown(first.message)})" if first.message else ""
