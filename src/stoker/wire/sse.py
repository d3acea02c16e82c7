"""Server-sent events out of bytes, wherever the chunks end. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is empty when the stream gives none."""

    name: str
    data: bytes


class SseDecoder:
    """`feed` chunks, then `flush`. Holds at most one incomplete event.

    Engines separate events by an empty line and end lines with LF or CRLF; comments are dropped,
    data of several lines is joined by LF, as the standard says.
    """

    def __init__(self) -> None:
        self._held = b""
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are complete now."""
        *lines, self._held = (self._held + chunk).split(b"\n")
        return [event for line in lines if (event := self._line(line.removesuffix(b"\r")))]

    def flush(self) -> list[Event]:
        """An event that the stream ended without finishing."""
        held, self._held = self._held, b""
        last = [self._line(held.removesuffix(b"\r")), self._line(b"")]
        return [event for event in last if event]

    def _line(self, line: bytes) -> Event | None:
        if not line:
            event = Event(self._name, b"\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        return None


def encode_event(name: str, data: bytes) -> bytes:
    """One event with a name."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
