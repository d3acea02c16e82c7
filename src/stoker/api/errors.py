"""One table: what each error is on the wire."""

from typing import Final

from aiohttp import hdrs, web

from stoker.base import errors
from stoker.gateway.answer import error_text, openai_fault
from stoker.observe.request_id import request_id
from stoker.wire import anthropic, ollama_answer
from stoker.wire.manage import ERROR_CODE_HEADER, ERROR_HINT_HEADER

# Looked up along the class hierarchy, so that a new subclass is never without a status.
STATUS: Final[dict[type[errors.StokerError], int]] = {
    errors.StokerError: 500,
    errors.UserError: 400,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.AmbiguousName: 409,
    errors.UnsupportedFormat: 422,
    errors.UnsupportedOperation: 422,
    errors.DoesNotFit: 422,
    errors.WrongMethod: 405,
    errors.PayloadTooLarge: 413,
    errors.BodyTooSlow: 408,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Busy: 503,
    errors.QueueFull: 429,
    errors.KeyBusy: 429,
    errors.RemoteError: 502,
    errors.AuthRequired: 401,
    errors.Denied: 403,
    errors.RateLimited: 429,
    errors.IntegrityError: 500,
    errors.StorageError: 507,
    errors.ParseError: 422,
    errors.EngineError: 500,
    errors.NotInstalled: 412,
    errors.NotReadyInTime: 504,
    errors.Crashed: 502,
}


def status_of(error: errors.StokerError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def text_response(error: errors.StokerError, prefix: str = "") -> web.Response:
    """Plain text with a newline, as Docker Model Runner answers; code and hint in headers."""
    return web.Response(
        status=status_of(error),
        text=f"{prefix}{error.message}\n",
        headers={"X-Content-Type-Options": "nosniff", **_headers(error)},
    )


def openai_response(error: errors.StokerError) -> web.Response:
    """The envelope OpenAI's clients parse. The hint is part of the message: they show only that."""
    kind = "invalid_request_error" if status_of(error) < 500 else "server_error"
    return _json_response(error, openai_fault(error_text(error), kind, error.code))


def anthropic_response(error: errors.StokerError) -> web.Response:
    """The envelope Anthropic's clients parse."""
    body = anthropic.fault(status_of(error), error_text(error), request_id.get())
    return _json_response(error, body)


def ollama_response(error: errors.StokerError) -> web.Response:
    """`{"error": "..."}`, which Ollama's clients show."""
    return _json_response(error, ollama_answer.fault(error_text(error), request_id.get()))


def _json_response(error: errors.StokerError, body: bytes) -> web.Response:
    headers = _headers(error)
    if isinstance(error, errors.LaunchFailed | errors.StorageError):
        # OpenAI's clients repeat a request on every 5xx; loading a broken file again helps nobody.
        # Anthropic's read the same header.
        headers["x-should-retry"] = "false"
    return web.Response(
        status=status_of(error), body=body, content_type="application/json", headers=headers
    )


def _headers(error: errors.StokerError) -> dict[str, str]:
    headers = {ERROR_CODE_HEADER: error.code}
    if error.hint:
        # A header holds one line of visible ASCII; hints quote what users typed.
        headers[ERROR_HINT_HEADER] = error.hint.encode("ascii", "backslashreplace").decode()
        headers[ERROR_HINT_HEADER] = " ".join(headers[ERROR_HINT_HEADER].split())
    if isinstance(error, errors.Unauthenticated):
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="stoker"'
    if isinstance(error, errors.Busy):
        # Nobody knows when; clients of OpenAI and Anthropic wait this long, then try again.
        headers["Retry-After"] = "1"
    if isinstance(error, errors.RateLimited) and error.retry_after is not None:
        headers["Retry-After"] = str(int(error.retry_after))
    return headers
