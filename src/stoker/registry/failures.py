"""Foreign failures turned into ours: aiohttp's exceptions and the registry's error answers.

The only place of this package where either is looked at.
"""

import os
import ssl
import time
from typing import Final

import aiohttp
import msgspec

from stoker.base.errors import (
    AuthRequired,
    Denied,
    DigestMismatch,
    ModelNotFound,
    RateLimited,
    RegistryError,
    RemoteError,
    SizeMismatch,
    StokerError,
    Unreachable,
)
from stoker.registry.errand import Errand
from stoker.registry.network import Broken
from stoker.registry.place import login_command
from stoker.registry.retry import parse_retry_after

# An error answer is a few hundred bytes; a storage server's may be a page of XML.
MAX_ERROR_BODY: Final = 64 * 1024
_MAX_SHOWN: Final = 200


class _WireError(msgspec.Struct):
    code: str = ""
    message: str | None = None


class _WireErrors(msgspec.Struct):
    errors: list[_WireError] | None = None


def connection_error(error: Exception, host: str, *, phase: str = "") -> RemoteError:
    """What an exception of aiohttp or the socket layer means."""
    during = f" {phase}" if phase else ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unreachable(
            f"the certificate of {host} is not trusted: {_shown(error.certificate_error)}",
            origin=host,
            hint="add its authority with SSL_CERT_FILE or ~/.docker/certs.d/<host>/ca.crt",
        )
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Unreachable(
            f"no TLS connection to {host}: {_shown(error)}",
            origin=host,
            hint=f"if the registry speaks plain HTTP, set INSECURE_REGISTRY={host}",
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        said = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else error.os_error
        return Broken(
            f"the proxy did not connect to {host}: {_shown(said)}",
            origin=host,
            hint="check HTTPS_PROXY and HTTP_PROXY, or put the registry into NO_PROXY",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(
            f"cannot find the host {host}: {_reason(error.os_error)}",
            origin=host,
            hint="check the spelling of the registry, and this machine's DNS and network",
        )
    if isinstance(error, TimeoutError):
        return Broken(
            f"{host} did not answer in time{during}",
            origin=host,
            hint="the registry or the network in between is slow; try again",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Broken(
            f"cannot connect to {host}: {_reason(error.os_error)}",
            origin=host,
            hint="is the registry running, and does a firewall or proxy stand in between?",
        )
    return Broken(
        f"the connection to {host} broke{during}: {_shown(error) or type(error).__name__}",
        origin=host,
        hint="try again; what has arrived is kept",
    )


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
    return code.upper(), f" ({_shown(first.message)})" if first.message else ""


def _reason(error: OSError) -> str:
    """The system's own words; asyncio puts the whole address into `strerror`."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else _shown(error.strerror or error)


def _shown(text: object) -> str:
    """Foreign text fit for a log and a terminal: one line, printable, short."""
    flat = " ".join(str(text).split())
    flat = "".join(c if c.isprintable() else "?" for c in flat)
    return flat if len(flat) <= _MAX_SHOWN else f"{flat[:_MAX_SHOWN]}..."
