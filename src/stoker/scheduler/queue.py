"""Requests that wait, in order, and how many for each runner. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from stoker.scheduler.events import RunnerKey, RunRequest, Ticket


@dataclass(frozen=True, slots=True)
class Waiting:
    """`since` and `until` are times; it is refused at the latter."""

    request: RunRequest
    since: float
    keep_alive: float
    until: float


class Queue:
    """Counted as it changes: a decision must not look at hundreds for each runner."""

    def __init__(self) -> None:
        self._waiting: dict[Ticket, Waiting] = {}
        self._counts: Counter[RunnerKey] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._waiting

    def __iter__(self) -> Iterator[tuple[Ticket, Waiting]]:
        """In the order they came; the queue may change on the way."""
        return iter(list(self._waiting.items()))

    def add(self, ticket: Ticket, waiting: Waiting) -> None:
        """At the end."""
        self._waiting[ticket] = waiting
        self._counts[waiting.request.key] += 1

    def remove(self, ticket: Ticket) -> None:
        """Wherever it is; nothing happens when it is not here."""
        waiting = self._waiting.pop(ticket, None)
        if waiting:
            key = waiting.request.key
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def count(self, key: RunnerKey) -> int:
        """How many wait for this runner."""
        return self._counts.get(key, 0)

    @property
    def keys(self) -> frozenset[RunnerKey]:
        """The runners that somebody waits for."""
        return frozenset(self._counts)
