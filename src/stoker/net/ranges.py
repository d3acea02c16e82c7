"""Reading a part of something: what to ask for, and whether the answer is what was asked for."""

import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, final

from stoker.base.errors import Broken, SizeMismatch
from stoker.net.response import Response

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` up to, not including, `end` of content of `size` bytes."""

    start: int
    end: int
    size: int

    @classmethod
    def of(cls, size: int, at: int, length: int | None) -> "Span":
        """What there is of `length` bytes from `at`; of everything from there without a length."""
        start = min(max(at, 0), size)
        end = size if length is None else min(size, start + max(length, 0))
        return cls(start, end, size)

    @property
    def is_empty(self) -> bool:
        return self.start >= self.end

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end == self.size

    @property
    def whole(self) -> "Span":
        """All of the same content."""
        return Span(0, self.size, self.size)

    @property
    def header(self) -> str:
        """The value of `Range` (RFC 9110 section 14.1.2)."""
        last = "" if self.end == self.size else str(self.end - 1)
        return f"bytes={self.start}-{last}"

    def granted_by(self, content_range: str | None) -> bool:
        """True when this `Content-Range` is what was asked for (RFC 9110 section 14.4)."""
        match = _CONTENT_RANGE.fullmatch((content_range or "").strip())
        if not match:
            return False
        first, last, total = match.groups()
        return (
            int(first) == self.start
            and int(last) == self.end - 1
            and total in {"*", str(self.size)}
        )


def total_of(content_range: str | None) -> int | None:
    """The size of the whole that a `Content-Range` claims; None when it does not say."""
    match = _CONTENT_RANGE.fullmatch((content_range or "").strip())
    return None if match is None or match[3] == "*" else int(match[3])


@final
class HeldBody:
    """Content at hand, seen as a stream."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self.offset: Final = offset

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        if self._data:
            yield self._data


@final
class WireBody:
    """Content as it arrives: exactly the promised number of bytes, or an error.

    `what` is the content's name in errors, `changed` what to add and advise when its size is wrong.
    Raises SizeMismatch for an answer of another length, the service's error for a repacked one.
    """

    def __init__(
        self,
        response: Response,
        span: Span,
        what: str,
        *,
        changed: tuple[str, str] | None = None,
    ) -> None:
        self._response = response
        self._wanted = span.end - span.start
        self._what = what
        self._changed = changed
        self.offset: Final = span.start
        self._check_length()

    def _check_length(self) -> None:
        host = self._response.host
        encoding = self._response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding != "identity":
            raise self._response.service.failure(
                f"{host} repacked {self._what} as {encoding[:40]!r}, unasked", origin=host
            )
        claimed = self._response.content_length
        if claimed is not None and claimed != self._wanted:
            raise self._mismatch(f"offers {claimed} bytes for {self._what}, wanted {self._wanted}")

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        seen = 0
        async with contextlib.aclosing(self._response.chunks()) as chunks:
            async for chunk in chunks:
                seen += len(chunk)
                if seen > self._wanted:
                    raise self._mismatch(f"sends more than {self._wanted} bytes of {self._what}")
                yield chunk
        if seen < self._wanted:
            raise Broken(
                f"{self._response.host} stopped after {seen} of {self._wanted} bytes "
                f"of {self._what}",
                origin=self._response.host,
                hint="try again; what has arrived is kept",
            )

    def _mismatch(self, found: str) -> SizeMismatch:
        why, hint = self._changed or ("", None)
        return SizeMismatch(f"{self._response.host} {found}{why}", hint=hint)
