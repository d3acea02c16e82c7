"""A chat answer while it streams in: server-sent events, or one JSON object, become deltas."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import msgspec

from stoker.base.errors import DaemonError, ParseError
from stoker.client.call import Lines, Request
from stoker.client.calls.names import engine_route
from stoker.client.failures import unwrap_error


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
    max_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens, as the engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. Not part of it: `notice`, said by the daemon meanwhile, and `state`,
    what the answer waits for, such as `loading 42%`.
    """

    text: str = ""
    reasoning: str = ""
    notice: str = ""
    state: str = ""


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


def chat_request(
    model: str,
    messages: Sequence[ChatMessage],
    *,
    backend: str = "",
    prefix: str | None = None,
    max_tokens: int | None = None,
    silence: float | None = None,
) -> Request:
    """A streamed chat. `prefix` comes before `/chat/completions` on servers that are not Stoker."""
    body = ChatRequest(
        model=model,
        messages=[*messages],
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=max_tokens,
    )
    return Request(
        "POST",
        f"{engine_route(backend, '/v1') if prefix is None else prefix}/chat/completions",
        body=msgspec.json.encode(body),
        headers={"Accept": "text/event-stream, application/json"},
        timeout=silence,
    )


class AnswerDecoder:
    """Reads an answer. `model`, `usage` and `finish_reason` are known at its end, if sent."""

    def __init__(self, origin: str) -> None:
        self.model = ""
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.over = False
        """Whether the stream said so itself; what may follow is nothing."""
        self._origin = origin
        self._lines = Lines(origin)

    def feed(self, data: bytes) -> Iterator[Delta]:
        """Raises DaemonError when the stream carries an error, ParseError when it makes no sense.

        Only the first choice counts: that is all that was asked for.
        """
        yield from self._deltas(self._lines.feed(data))

    def end(self) -> Iterator[Delta]:
        """The deltas of a last line without newline."""
        yield from self._deltas(self._lines.end())

    def _deltas(self, lines: Iterable[bytes]) -> Iterator[Delta]:
        for line in lines:
            body = line.strip()
            # Blank lines end an event, a colon starts a comment, other fields carry nothing here.
            if self.over or not body or body.startswith((b"event:", b"id:", b"retry:")):
                continue
            if body.startswith(b":"):
                yield Delta(state=body[1:].strip().decode("utf-8", "replace"))
                continue
            if body.startswith(b"data:"):
                body = body.removeprefix(b"data:").lstrip()
                self.over = body == b"[DONE]"
            elif not body.startswith(b"{"):
                yield Delta(notice=body.decode("utf-8", "replace"))
                continue
            if not self.over:
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


@final
class Answer(AnswerDecoder):
    """Iterate over it once; afterwards `usage` and `finish_reason` are known if they were sent."""

    def __init__(self, chunks: Iterable[bytes], origin: str) -> None:
        super().__init__(origin)
        self._chunks = chunks

    def __iter__(self) -> Iterator[Delta]:
        """Raises what `feed` raises, and Unreachable when the daemon goes away."""
        for data in self._chunks:
            yield from self.feed(data)
            if self.over:
                return
        yield from self.end()


@final
class AsyncAnswer(AnswerDecoder):
    """The same for `async for`."""

    def __init__(self, chunks: AsyncIterator[bytes], origin: str) -> None:
        super().__init__(origin)
        self._chunks = chunks

    async def __aiter__(self) -> AsyncGenerator[Delta]:
        async for data in self._chunks:
            for delta in self.feed(data):
                yield delta
            if self.over:
                return
        for delta in self.end():
            yield delta
