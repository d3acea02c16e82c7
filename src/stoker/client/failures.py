"""What goes wrong between a client and the daemon, in our errors' words. No I/O.

`Unreachable`: no connection, or it broke. `DaemonError`: the daemon said no.
"""

import ssl
from collections.abc import Callable
from http.client import responses
from typing import Any, Final

import msgspec

from stoker.base.errors import DaemonError, Unreachable
from stoker.client.endpoint import Endpoint
from stoker.wire.manage import ERROR_CODE_HEADER, ERROR_HINT_HEADER

MAX_ERROR: Final = 64 * 1024
"""Bytes of a refusal that are read."""
REDIRECT: Final = 300
"""The least status that is no success. A proxy may send elsewhere whoever comes without TLS;
following it would hand on the key and lose the body."""


def refusal(
    status: int, header: Callable[[str], str | None], body: bytes, origin: str
) -> DaemonError:
    """A daemon's answer of `REDIRECT` and above. `header` finds a name in any case."""
    if status < 400:
        elsewhere = header("Location") or "another address"
        return DaemonError(
            f"{origin} sends to {elsewhere} ({status}), and was not followed",
            origin=origin,
            status=status,
            hint="name that address, if it is right: STOKER_HOST, or stoker context",
        )
    message, code = unwrap_error(body.decode("utf-8", "replace"))
    hint = header(ERROR_HINT_HEADER)
    if hint:
        # On OpenAI routes the hint is also part of the message, for clients that show only that.
        message = message.removesuffix(f" ({hint})")
    return DaemonError(
        message or f"the daemon answered {status} {responses.get(status, '')}".rstrip(),
        origin=origin,
        status=status,
        remote_code=header(ERROR_CODE_HEADER) or code,
        hint=hint,
    )


def unwrap_error(text: str) -> tuple[str, str]:
    """Message and code out of an OpenAI or Ollama error envelope, or out of plain text."""
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text.strip(), ""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return error, ""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return error["message"], str(error.get("code") or "")
    return text.strip(), ""


def not_running(endpoint: Endpoint) -> Unreachable:
    """Nobody listens there."""
    text = f"nothing answers at {endpoint}"
    if endpoint.origin.startswith("--"):
        # A flag such as --openaiurl names a server that is none of ours.
        hint = f"is {endpoint.origin} right, and does that server run?"
        return Unreachable(text, origin=str(endpoint), hint=hint)
    hint = "start it with: stoker serve"
    if endpoint.undo:
        hint = f"{endpoint.origin} names that address; to ask this machine's own: {endpoint.undo}"
    return Unreachable(f"Stoker is not running: {text}", origin=str(endpoint), hint=hint)


def too_slow(origin: str, seconds: float) -> Unreachable:
    """Nothing came for that long."""
    return Unreachable(f"no answer from {origin} within {seconds:g} s", origin=origin)


def cut_off(origin: str) -> Unreachable:
    """The daemon went away, or spoke no HTTP."""
    text = f"{origin} closed the connection in the middle of an answer"
    plain = origin.startswith("http:")
    tls = "if it speaks TLS, its address begins with https://; else " if plain else ""
    return Unreachable(text, origin=origin, hint=f"{tls}what happened there: stoker logs")


def connection_failed(error: Exception, origin: str) -> Unreachable:
    """Anything else between here and there."""
    if isinstance(error, ssl.SSLError):
        return _no_tls(error, origin)
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return Unreachable(
        f"the connection to {origin} failed: {reason}",
        origin=origin,
        hint="check the address, and this machine's network",
    )


def _no_tls(error: ssl.SSLError, origin: str) -> Unreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {origin} is not trusted: {error.verify_message}"
        hint = (
            "ask for a name or an address that is in it"
            if "mismatch" in error.verify_message
            else "MODEL_RUNNER_TLS_CA_CERT=FILE, or `stoker context create --tls-ca-cert FILE`,"
            " names its authority"
        )
    else:
        text = f"no TLS connection to {origin}: {error.reason or error}"
        hint = "if it does not speak TLS, its address begins with http://"
    return Unreachable(text, origin=origin, hint=hint)
