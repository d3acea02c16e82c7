"""How an engine's answer becomes the client's: untouched, or translated by a dialect."""

from typing import Final, Protocol

import msgspec

from stoker.base.errors import StokerError
from stoker.gateway.rename import Rename
from stoker.observe.request_id import request_id
from stoker.wire.manage import ErrorBody, ErrorEnvelope

EVENT_STREAM: Final = "text/event-stream"


class Answer(Protocol):
    """One for each request. Pure: bytes in, bytes out; a chunk may end anywhere."""

    @property
    def stream_type(self) -> str:
        """Content type of a streamed answer."""
        ...

    def begin(self, served: str, loaded: float) -> None:
        """The runner is there: the engine calls the model `served`; waiting took so many seconds.

        Also called before a second try, when nothing has been fed yet.
        """
        ...

    def feed(self, chunk: bytes) -> bytes:
        """What can be sent now of a stream."""
        ...

    def flush(self) -> bytes:
        """The rest, at the end of a stream."""
        ...

    def whole(self, status: int, body: bytes) -> bytes:
        """An answer that came in one piece; also every error of the engine's."""
        ...

    def failed(self, body: bytes) -> bytes:
        """An error, in the form `whole` gave it, as the last event of a stream."""
        ...

    def error(self, error: StokerError) -> bytes:
        """An error of ours in the form of this dialect, like `whole`."""
        ...

    def waiting(self, state: str) -> bytes:
        """A sign of life while the model loads; empty when this dialect knows none."""
        ...


class Passthrough:
    """Engines speak this dialect: their bytes pass, with the model's name as it was asked for."""

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self._rename: Rename | None = None

    @property
    def stream_type(self) -> str:
        return EVENT_STREAM

    def begin(self, served: str, loaded: float) -> None:
        del loaded
        self._rename = Rename(served, self._asked) if served != self._asked else None

    def feed(self, chunk: bytes) -> bytes:
        return self._rename.feed(chunk) if self._rename else chunk

    def flush(self) -> bytes:
        return self._rename.flush() if self._rename else b""

    def whole(self, status: int, body: bytes) -> bytes:
        del status
        return self.feed(body) + self.flush()

    def failed(self, body: bytes) -> bytes:
        return b"data: " + body + b"\n\n"

    def error(self, error: StokerError) -> bytes:
        return openai_fault(error_text(error), "server_error", error.code)

    def waiting(self, state: str) -> bytes:
        return f": {state}\n\n".encode()


def openai_fault(message: str, kind: str, code: str | None) -> bytes:
    """OpenAI's envelope, with the id of the request that is being answered."""
    return msgspec.json.encode(
        ErrorEnvelope(ErrorBody(message, type=kind, code=code, request_id=request_id.get()))
    )


def error_text(error: StokerError) -> str:
    """Message and hint in one text: most clients show only that."""
    return error.message if error.hint is None else f"{error.message} ({error.hint})"
