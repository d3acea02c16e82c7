"""Answers that come as server-sent events. No I/O."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar, final

from stoker.client.call import Decoder, json_of
from stoker.wire.sse import Event, SseDecoder

T = TypeVar("T")


@final
class Events(Generic[T]):
    """The data of server-sent events of some names, as values of one type."""

    def __init__(self, origin: str, kind: type[T], names: frozenset[str]) -> None:
        self._origin = origin
        self._read = json_of(kind)
        self._names = names
        self._events = SseDecoder()

    def feed(self, data: bytes) -> Iterator[T]:
        yield from self._wanted(self._events.feed(data))

    def end(self) -> Iterator[T]:
        yield from self._wanted(self._events.flush())

    def _wanted(self, events: Iterable[Event]) -> Iterator[T]:
        for event in events:
            if event.name in self._names:
                yield self._read(event.data, self._origin)


def events_of(kind: type[T], *names: str) -> Callable[[str], Decoder[T]]:
    """A decoder of these events, for `Feed`."""
    return lambda origin: Events(origin, kind, frozenset(names))
