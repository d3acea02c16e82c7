"""A chat answer while it streams in: server-sent events, or one JSON object, become deltas."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

import msgspec

from stoker.base.errors import DaemonError, ParseError
from stoker.client.transport import unwrap_error


class ChatMessage(msgspec.Struct, frozen=True):
    """One turn. `content` is text, or OpenAI's list of parts."""

    role: str
    content: Any


class ChatRequest(msgspec.Struct, omit_defaults=True):
    """Body of `POST .../chat/completions`."""

    model: str
    messages: list[ChatMessage]
    stream: bool = False
    stream_options: dict[str, bool] | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens, as the engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. `notice` is what the daemon says meanwhile, not part of the answer."""

    text: str = ""
    reasoning: str = ""
    notice: str = ""


class _Part(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Part | None = None
    message: _Part | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    model: str = ""
    choices: list[_Choice] = []
    usage: Usage | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Chunk)


@final
class Answer:
    """Iterate over it once; afterwards `usage` and `finish_reason` are known if they were sent."""

    def __init__(self, lines: Iterable[bytes], origin: str) -> None:
        self.model = ""
        self.usage: Usage | None = None
        self.finish_reason = ""
        self._lines = lines
        self._origin = origin

    def __iter__(self) -> Iterator[Delta]:
        """Raises DaemonError when the stream carries an error, ParseError when it makes no sense.

        Only the first choice counts: that is all that was asked for.
        """
        for line in self._lines:
            body = line.strip()
            # Blank lines end an event, a colon starts a comment, other fields carry nothing here.
            if not body or body.startswith((b":", b"event:", b"id:", b"retry:")):
                continue
            if body.startswith(b"data:"):
                body = body.removeprefix(b"data:").lstrip()
                if body == b"[DONE]":
                    return
            elif not body.startswith(b"{"):
                yield Delta(notice=body.decode("utf-8", "replace"))
                continue
            yield from self._chunk(body)

    def _chunk(self, body: bytes) -> Iterator[Delta]:
        try:
            chunk = _DECODER.decode(body)
        except msgspec.MsgspecError as error:
            raise ParseError(f"{self._origin} sent a chunk that does not parse: {error}") from error
        if chunk.error is not None:
            message, code = unwrap_error(body.decode("utf-8", "replace"))
            raise DaemonError(message, origin=self._origin, status=500, remote_code=code)
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            if choice.index != 0:
                continue
            self.finish_reason = choice.finish_reason or self.finish_reason
            part = choice.delta or choice.message
            if part and (part.content or part.reasoning_content):
                yield Delta(part.content or "", part.reasoning_content or "")
