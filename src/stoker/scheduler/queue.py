"""Requests that wait, by the runner they wait for, in order. Pure."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stoker.scheduler.events import RunnerKey, RunRequest, Ticket

_MOST_STALE: Final = 64
"""Ends kept of those who left: a wait may last for minutes, most requests are granted at once."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`since` and `until` are times; it is refused at the latter.

    `above`: ways to run it of this rank or a better one have been tried and took too much memory.
    """

    request: RunRequest
    since: float
    keep_alive: float
    until: float
    above: int = -1

    @property
    def open(self) -> RunRequest:
        """With the ways that are left to be tried; none may be left."""
        if self.above < 0:
            return self.request
        left = tuple(way for way in self.request.ways if way.rank > self.above)
        return replace(self.request, ways=left)


class Queue:
    """Kept by runner: whoever waits for the same one is served together, and a decision looks at
    each runner once, however many wait for it.
    """

    def __init__(self) -> None:
        self._by_key: dict[RunnerKey, dict[Ticket, Waiting]] = {}
        self._keys: dict[Ticket, RunnerKey] = {}
        self._ends: list[tuple[float, Ticket]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._keys

    def __iter__(self) -> Iterator[tuple[Ticket, Waiting]]:
        """Runner by runner."""
        for waiting in self._by_key.values():
            yield from waiting.items()

    @property
    def keys(self) -> Sequence[RunnerKey]:
        """The runners that somebody waits for, in the order of who waits longest for each."""
        if len(self._by_key) < 2:
            return list(self._by_key)
        return sorted(self._by_key, key=self._first_came)

    def add(self, ticket: Ticket, waiting: Waiting) -> None:
        """At the end."""
        key = waiting.request.key
        self._by_key.setdefault(key, {})[ticket] = waiting
        self._keys[ticket] = key
        heapq.heappush(self._ends, (waiting.until, ticket))

    def remove(self, ticket: Ticket) -> None:
        """Wherever it is; nothing happens when it is not here."""
        key = self._keys.pop(ticket, None)
        if key is not None:
            mine = self._by_key[key]
            del mine[ticket]
            if not mine:
                del self._by_key[key]
            if len(self._ends) > 2 * len(self._keys) + _MOST_STALE:
                self._ends = [end for end in self._ends if end[1] in self._keys]
                heapq.heapify(self._ends)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._by_key.clear()
        self._keys.clear()
        self._ends.clear()

    def settle_for_less(self, ticket: Ticket, above: int) -> bool:
        """Go on with ways of a higher rank; False when there is none."""
        mine = self._by_key[self._keys[ticket]]
        less = replace(mine[ticket], above=above)
        if less.open.ways:
            mine[ticket] = less
        return bool(less.open.ways)

    def of(self, key: RunnerKey) -> Sequence[tuple[Ticket, Waiting]]:
        """Who waits for this runner, in order."""
        return tuple(self._by_key.get(key, {}).items())

    def count(self, key: RunnerKey) -> int:
        """How many wait for this runner."""
        return len(self._by_key.get(key, ()))

    def next_end(self) -> float | None:
        """When the next one has waited for as long as it may."""
        while self._ends and self._ends[0][1] not in self._keys:
            heapq.heappop(self._ends)  # it left before
        return self._ends[0][0] if self._ends else None

    def overdue(self, now: float) -> Iterator[tuple[Ticket, Waiting]]:
        """Take out whoever has waited for as long as it may."""
        while (end := self.next_end()) is not None and end <= now:
            ticket = self._ends[0][1]
            waiting = self._by_key[self._keys[ticket]][ticket]
            self.remove(ticket)
            yield ticket, waiting

    def _first_came(self, key: RunnerKey) -> tuple[float, Ticket]:
        ticket, waiting = next(iter(self._by_key[key].items()))
        return waiting.since, ticket
