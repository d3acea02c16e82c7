"""What to ask for of a file, and whether the answer is what was asked for. Mostly pure."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final, final

from stoker.base.errors import HubError, SizeMismatch
from stoker.hub.failures import Broken
from stoker.hub.http import Response

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` up to, not including, `end` of a file of `size` bytes."""

    start: int
    end: int
    size: int

    @classmethod
    def of(cls, size: int, at: int, length: int | None) -> "Span":
        start = min(max(at, 0), size)
        end = size if length is None else min(size, start + max(length, 0))
        return cls(start, end, size)

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end == self.size

    @property
    def header(self) -> str:
        """The value of `Range` (RFC 9110 section 14.1.2)."""
        last = "" if self.end == self.size else str(self.end - 1)
        return f"bytes={self.start}-{last}"


@final
class HeldBody:
    """Content at hand, seen as a stream."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self.offset: Final = offset

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._data:
            yield self._data


@final
class WireBody:
    """Content as it arrives: exactly the promised number of bytes, or an error."""

    def __init__(self, response: Response, span: Span, path: str) -> None:
        self._response = response
        self._wanted = span.length
        self._path = path
        self.offset: Final = span.start

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        seen = 0
        async with contextlib.aclosing(self._response.chunks()) as chunks:
            async for chunk in chunks:
                seen += len(chunk)
                if seen > self._wanted:
                    raise _changed(self._response, self._path, f"more than {self._wanted} bytes")
                yield chunk
        if seen < self._wanted:
            raise Broken(
                f"{self._response.host} stopped after {seen} of {self._wanted} bytes"
                f" of {self._path!a}",
                origin=self._response.host,
                hint="try again; what has arrived is kept",
            )


def body_of(response: Response, span: Span, path: str) -> WireBody:
    """The body of a 200, 206 or 416 answer to a request for `span`.

    A server that does not grant the range sends the whole file. Raises SizeMismatch when the file
    has another size than it was listed with, HubError for an answer to another question.
    """
    host = response.host
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise HubError(f"{host} repacked {path!a} as {encoding[:40]!a}, unasked", origin=host)
    if response.status == 416:
        raise _changed(response, path, f"no byte {span.start} of {span.size}")
    if response.status == 206:
        _check_range(response, span, path)
    else:
        span = Span.of(span.size, 0, None)
    claimed = response.content_length
    if claimed is not None and claimed != span.length:
        raise _changed(response, path, f"{claimed} bytes, {span.length} were expected")
    return WireBody(response, span, path)


def _check_range(response: Response, span: Span, path: str) -> None:
    """`Content-Range` must be what was asked for (RFC 9110 section 14.4)."""
    said = response.headers.get("Content-Range", "").strip()
    match = _CONTENT_RANGE.fullmatch(said)
    if not match or (int(match[1]), int(match[2])) != (span.start, span.end - 1):
        raise HubError(
            f"{response.host} sent another part of {path!a} than was asked for",
            origin=response.host,
        )
    if match[3] not in {"*", str(span.size)}:
        raise _changed(response, path, f"a file of {match[3]} bytes, {span.size} were listed")


def _changed(response: Response, path: str, what: str) -> SizeMismatch:
    return SizeMismatch(
        f"{response.host} sends {what}, for {path!a}: it is not the file that was listed",
        hint="the repository or a cache in between has changed; try again",
    )
