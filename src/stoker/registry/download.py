"""Reading content: what to ask for, and whether the answer is what was asked for. Mostly pure."""

import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, final

from stoker.base.errors import RegistryError, SizeMismatch
from stoker.oci.descriptor import Descriptor
from stoker.registry.http import Response
from stoker.registry.network import Broken

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` up to, not including, `end` of content of `size` bytes."""

    start: int
    end: int
    size: int

    @classmethod
    def of(cls, descriptor: Descriptor, at: int, length: int | None) -> "Span":
        size = descriptor.size
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
    """Content as it arrives: exactly the promised number of bytes, or an error."""

    def __init__(self, response: Response, span: Span, descriptor: Descriptor) -> None:
        self._response = response
        self._wanted = span.end - span.start
        self._descriptor = descriptor
        self.offset: Final = span.start
        self._check_length()

    def _check_length(self) -> None:
        encoding = self._response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding != "identity":
            raise RegistryError(
                f"{self._response.host} repacked a blob as {encoding[:40]!r}, unasked",
                origin=self._response.host,
            )
        claimed = self._response.content_length
        if claimed is not None and claimed != self._wanted:
            raise SizeMismatch(
                f"{self._response.host} offers {claimed} bytes for {self._descriptor.digest}, "
                f"wanted {self._wanted}"
            )

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        seen = 0
        async with contextlib.aclosing(self._response.chunks()) as chunks:
            async for chunk in chunks:
                seen += len(chunk)
                if seen > self._wanted:
                    raise SizeMismatch(
                        f"{self._response.host} sends more than {self._wanted} bytes "
                        f"of {self._descriptor.digest}"
                    )
                yield chunk
        if seen < self._wanted:
            raise Broken(
                f"{self._response.host} stopped after {seen} of {self._wanted} bytes "
                f"of {self._descriptor.digest}",
                origin=self._response.host,
                hint="try again; what has arrived is kept",
            )
