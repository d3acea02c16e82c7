"""Which bytes of a file are here: sorted, disjoint ranges. Pure."""

import bisect
from collections.abc import Iterable, Iterator
from typing import final

Range = tuple[int, int]
"""From, up to and not including."""


@final
class Ranges:
    """A set of byte positions."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Bytes `start` to `end` are here now; ranges that touch become one."""
        if start >= end:
            return
        first = bisect.bisect_left(self._ranges, start, key=lambda held: held[1])
        last = bisect.bisect_right(self._ranges, end, key=lambda held: held[0])
        touching = self._ranges[first:last]
        if touching:
            start, end = min(start, touching[0][0]), max(end, touching[-1][1])
        self._ranges[first:last] = [(start, end)]

    @property
    def prefix(self) -> int:
        """Bytes from the start without a hole."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    @property
    def has_holes(self) -> bool:
        """True when something is here behind a hole."""
        return bool(self._ranges) and (len(self._ranges) > 1 or self._ranges[0][0] > 0)

    def missing(self, size: int) -> tuple[Range, ...]:
        """The holes of a file of this size, in order."""
        edges = [0, *(edge for held in self._ranges for edge in held), size]
        holes = zip(edges[::2], edges[1::2], strict=True)
        return tuple((start, end) for start, end in holes if start < end)

    @property
    def count(self) -> int:
        """Bytes that are here."""
        return sum(end - start for start, end in self._ranges)

    def clipped(self, size: int) -> "Ranges":
        """The same, nothing behind `size`."""
        return Ranges((start, min(end, size)) for start, end in self._ranges)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)
