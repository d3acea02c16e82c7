"""A request and how its answer is read. No I/O: `Client` and `AsyncClient` are two shells on this.

A `Call` has one answer; a `Feed` has many, which are worth having one by one as they come.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Generic, NamedTuple, Protocol, TypeVar, final

import msgspec

from stoker.base.errors import DaemonError, ParseError
from stoker.wire.manage import Progress

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Administrative answers come from memory or the disk; `inspect --remote` waits for a registry.
ANSWER_TIMEOUT: Final = 60.0
# The list of some thousand models is below 10 MiB.
MAX_ANSWER: Final = 256 * 1024 * 1024
# One line of a stream: a chat chunk with a tool call of several MiB still fits.
MAX_LINE: Final = 16 * 1024 * 1024


@final
class Request(NamedTuple):
    """What is sent. A body in pieces is sent as they come.

    `timeout` (seconds) bounds each wait for bytes; None waits as long as the connection stands,
    which is right while a model loads.
    """

    method: str
    route: str
    query: Mapping[str, str] = MappingProxyType({})
    body: bytes | Iterable[bytes] | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    timeout: float | None = None


class Decoder(Protocol[T_co]):
    """Turns a body, wherever its pieces end, into values as soon as they are complete."""

    def feed(self, data: bytes) -> Iterable[T_co]: ...

    def end(self) -> Iterable[T_co]: ...


@final
class Call(NamedTuple, Generic[T]):
    """A request with one answer. `read` gets the whole body and the daemon's name for errors."""

    request: Request
    read: Callable[[bytes, str], T]


@final
class Feed(NamedTuple, Generic[T]):
    """A request with many answers. `decoder` gets the daemon's name for errors."""

    request: Request
    decoder: Callable[[str], Decoder[T]]


def ask(
    method: str,
    route: str,
    read: Callable[[bytes, str], T],
    *,
    query: Mapping[str, object] | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = ANSWER_TIMEOUT,
) -> Call[T]:
    """A call with a JSON body, or none. Of the query only what is given is sent."""
    sent = None if body is None else msgspec.json.encode(body)
    request = Request(method, route, given(query or {}), sent, headers or {}, timeout)
    return Call(request, read)


def get(
    route: str,
    kind: type[T],
    query: Mapping[str, object] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Call[T]:
    """The call that asks for one JSON value."""
    return ask("GET", route, json_of(kind), query=query, headers=headers)


def given(query: Mapping[str, object]) -> dict[str, str]:
    """Those values that are there, as text; a switch that is off is not there."""
    return {
        name: "true" if value is True else str(value)
        for name, value in query.items()
        if value is not None and value is not False and value != ""
    }


def json_of(kind: type[T]) -> Callable[[bytes, str], T]:
    """Reads one JSON value of that type. What it returns raises ParseError."""

    def read(body: bytes, origin: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise ParseError(f"the answer of {origin} does not parse: {error}") from error

    return read


def nothing(_body: bytes, _origin: str) -> None:
    """For answers that say no more than their status."""


@final
class Lines:
    """Lines without their newline; a last one without newline counts too."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now. Raises ParseError when one is absurdly long."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise ParseError(f"{self._origin} sent a line longer than {MAX_LINE} bytes")
        return complete

    def end(self) -> list[bytes]:
        """What came after the last newline."""
        return [self._rest] if self._rest else []


@final
class Chunks:
    """Bytes as they come."""

    def __init__(self, _origin: str) -> None: ...

    def feed(self, data: bytes) -> tuple[bytes]:
        return (data,)

    def end(self) -> tuple[()]:
        return ()


@final
class Records:
    """Progress of a transfer or an installation, one JSON object a line."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._lines = Lines(origin)
        self._read = json_of(Progress)

    def feed(self, data: bytes) -> Iterator[Progress]:
        """Raises DaemonError for a record that says what failed."""
        yield from map(self._record, filter(bytes.strip, self._lines.feed(data)))

    def end(self) -> Iterator[Progress]:
        yield from map(self._record, filter(bytes.strip, self._lines.end()))

    def _record(self, line: bytes) -> Progress:
        record = self._read(line, self._origin)
        if record.type == "error":
            raise DaemonError(
                record.message.removeprefix("Error: "),
                origin=self._origin,
                status=200,
                remote_code=record.code or "",
                hint=record.hint or None,
            )
        return record


def last_record(body: bytes, origin: str) -> None:
    """Reads all progress of something whose end alone counts. Raises DaemonError."""
    records = Records(origin)
    for _ in (*records.feed(body), *records.end()):
        pass
