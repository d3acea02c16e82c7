"""Whether the answer to a request for a part of a file is what was asked for. Pure."""

from typing import Final

from stoker.base.errors import HubError, SizeMismatch
from stoker.net.ranges import Span, WireBody, total_of
from stoker.net.response import Response

_CHANGED: Final = (
    ": it is not the file that was listed",
    "the repository or a cache in between has changed; try again",
)


def body_of(response: Response, span: Span, path: str) -> WireBody:
    """The body of a 200, 206 or 416 answer to a request for `span`.

    A server that does not grant the range sends the whole file. Raises SizeMismatch when the file
    has another size than it was listed with, HubError for an answer to another question.
    """
    if response.status == 416:
        raise _changed(response, f"has no byte {span.start} of {span.size} of {path!a}")
    if response.status == 206:
        _check_range(response, span, path)
    else:
        span = span.whole
    return WireBody(response, span, ascii(path), changed=_CHANGED)


def _check_range(response: Response, span: Span, path: str) -> None:
    said = response.headers.get("Content-Range")
    if span.granted_by(said):
        return
    total = total_of(said)
    if total not in {None, span.size}:
        raise _changed(response, f"has {total} bytes of {path!a}, {span.size} were listed")
    raise HubError(
        f"{response.host} sent another part of {path!a} than was asked for", origin=response.host
    )


def _changed(response: Response, what: str) -> SizeMismatch:
    why, hint = _CHANGED
    return SizeMismatch(f"{response.host} {what}{why}", hint=hint)
