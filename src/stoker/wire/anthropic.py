"""Anthropic's error envelope. Messages themselves pass: engines speak that dialect."""

from typing import Final

import msgspec


class Fault(msgspec.Struct):
    """`type` is one of Anthropic's words."""

    type: str
    message: str


class Envelope(msgspec.Struct):
    """What its clients parse."""

    error: Fault
    request_id: str
    type: str = "error"


_WORDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def fault(status: int, message: str, request_id: str) -> bytes:
    """An error body for this HTTP status."""
    kind = _WORDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return msgspec.json.encode(Envelope(Fault(kind, message), request_id))
