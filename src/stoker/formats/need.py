"""Parsers that ask for bytes instead of reading them.

A parser is a generator: it yields `Need(offset, length)`, receives the bytes that lie there, and
returns its value. The same parser reads an open file, an HTTP range of a file not yet pulled, and a
test's byte string. An answer shorter than asked means that the file ends there.
"""

import struct
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from stoker.base.errors import ParseError

T = TypeVar("T")

_U64 = struct.Struct("<Q")

FIRST_WINDOW: Final = 64 * 1024
"""Bytes of the first read: the whole header of a small model, one HTTP round trip."""

MAX_WINDOW: Final = 4 * 1024 * 1024
"""Windows double up to this: few round trips for a large vocabulary, little memory for any file."""

MAX_TOTAL: Final = 64 * 1024 * 1024
"""Bytes one parse may read. The largest real GGUF headers (2^18 tokens with merges) have 20 MB."""

MAX_READS: Final = 512
"""Reads one parse may ask for: each may be an HTTP request."""

MAX_OFFSET: Final = 1 << 62
"""No file is longer; keeps offsets computed from a header inside what `pread` accepts."""


@dataclass(frozen=True, slots=True)
class Need:
    """A wish for `length` bytes from `offset` on."""

    offset: int
    length: int


Parser: TypeAlias = Generator[Need, bytes, T]


def run(
    parser: Parser[T],
    read: Callable[[int, int], bytes],
    *,
    max_bytes: int = MAX_TOTAL,
    max_reads: int = MAX_READS,
) -> T:
    """Drive a parser with `read(offset, length)`. Raises ParseError, also when it asks too much."""
    budget = _Budget(max_bytes, max_reads)
    try:
        need = next(parser)
        while True:
            budget.spend(need)
            need = parser.send(_checked(need, read(need.offset, need.length)))
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        parser.close()


async def run_async(
    parser: Parser[T],
    read: Callable[[int, int], Awaitable[bytes]],
    *,
    max_bytes: int = MAX_TOTAL,
    max_reads: int = MAX_READS,
) -> T:
    """As `run`, where reading is awaited."""
    budget = _Budget(max_bytes, max_reads)
    try:
        need = next(parser)
        while True:
            budget.spend(need)
            need = parser.send(_checked(need, await read(need.offset, need.length)))
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        parser.close()


def _checked(need: Need, data: bytes) -> bytes:
    # A server that ignores Range sends more than asked; everything after that would be misread.
    if len(data) > need.length:
        raise ParseError(
            f"asked for {need.length} bytes at {need.offset}, got {len(data)}", offset=need.offset
        )
    return data


class _Budget:
    """What one parse may still read."""

    __slots__ = ("_bytes", "_reads")

    def __init__(self, max_bytes: int, max_reads: int) -> None:
        self._bytes = max_bytes
        self._reads = max_reads

    def spend(self, need: Need) -> None:
        self._bytes -= need.length
        self._reads -= 1
        if self._bytes < 0 or self._reads < 0:
            raise ParseError(
                "the header is larger than any real model's; reading stopped", offset=need.offset
            )


class Cursor:
    """Reads forward through growing windows, so that a parse costs few reads.

    `fill` makes bytes available and is the only part that asks for any; `take`, `unpack` and `skip`
    consume. Holds at most the unread rest, one window and what `fill` was asked for.
    """

    __slots__ = ("_at", "_base", "_data", "_window", "file_size", "what")

    def __init__(self, what: str, *, file_size: int | None = None) -> None:
        self.what = what
        self.file_size = file_size
        self._data = b""
        self._base = 0
        self._at = 0
        self._window = FIRST_WINDOW

    @property
    def position(self) -> int:
        """Offset in the file of the next byte."""
        return self._base + self._at

    @property
    def left(self) -> int:
        """Bytes that can be consumed without asking; negative after a skip past the window."""
        return len(self._data) - self._at

    def fill(self, length: int) -> Parser[None]:
        """Ask until `length` bytes are available. Raises ParseError where the file ends first."""
        if self.left >= length:
            return
        start = self.position
        self._check_end(start + length)
        parts = [self._data[self._at :]] if self.left > 0 else []
        have = max(self.left, 0)
        while have < length:
            wanted = self._window
            if self.file_size is not None:
                wanted = min(wanted, self.file_size - start - have)
            part = yield Need(start + have, wanted)
            self._window = min(self._window * 2, MAX_WINDOW)
            parts.append(part)
            have += len(part)
            if len(part) < wanted and have < length:
                raise self._truncated(start + have)
        self._data = b"".join(parts)
        self._base = start
        self._at = 0

    def take(self, length: int) -> bytes:
        """The next bytes; `fill` has made them available."""
        at = self._at
        self._at = at + length
        return self._data[at : at + length]

    def unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        """The next numbers; `fill` has made them available."""
        at = self._at
        self._at = at + form.size
        return form.unpack_from(self._data, at)

    def skip(self, length: int) -> None:
        """Pass over bytes without asking for those outside the window."""
        self._at += length
        self._check_end(self.position)

    def skip_prefixed(self, count: int, limit: int) -> tuple[int, int | None]:
        """Pass over up to `count` strings, each with its length as uint64 before it.

        Stops where the window ends; the last one may end outside it. Returns how many were passed,
        and the offset of a string longer than `limit` if there is one.
        """
        data, at, end = self._data, self._at, len(self._data) - _U64.size
        unpack = _U64.unpack_from
        passed = 0
        while passed < count and at <= end:
            length = unpack(data, at)[0]
            if length > limit:
                return passed, self._base + at
            at += 8 + length
            passed += 1
        self.skip(at - self._at)
        return passed, None

    def _check_end(self, end: int) -> None:
        file_end = MAX_OFFSET if self.file_size is None else self.file_size
        if end > file_end:
            raise self._truncated(file_end)

    def _truncated(self, offset: int) -> ParseError:
        return ParseError(
            f"{self.what}: the file ends inside its header, at byte {offset}",
            offset=offset,
            hint="the file is incomplete or damaged; fetch it again",
        )
