"""What an engine says in OpenAI's words, in Ollama's. Pure: time comes from the engine's answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import msgspec

from stoker.wire.sse import SseDecoder


class Kind(Enum):
    """Which request is answered; value: the field that holds the text."""

    CHAT = "message"
    GENERATE = "response"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Said(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Said | None = None
    message: _Said | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Timings(msgspec.Struct):
    """llama.cpp's; milliseconds."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class _Error(msgspec.Struct):
    message: str = ""


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    created: int = msgspec.field(default_factory=int)
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: _Error | None = None


_chunk: Final = msgspec.json.Decoder(_Chunk)


class OllamaAnswer:
    """One answer of the engine's, streamed (`feed`, `flush`) or whole.

    `model` is the name that was asked for. `load`: nanoseconds the request waited for its model.
    """

    def __init__(self, kind: Kind, model: str, *, load: int = 0) -> None:
        self.load = load
        self._kind = kind
        self._model = model
        self._events = SseDecoder()
        self._calls: dict[int, _Function] = {}
        self._last = _Chunk()
        self._reason = ""

    def feed(self, chunk: bytes) -> bytes:
        """The lines that can be sent now."""
        return b"".join(
            line for event in self._events.feed(chunk) for line in self._event(event.data)
        )

    def flush(self) -> bytes:
        """The last lines. Without a reason to stop there is no `done`: the answer is cut off."""
        lines = [line for event in self._events.flush() for line in self._event(event.data)]
        if self._reason:
            calls = self._tool_calls()
            if calls:
                lines.append(self._line(self._text("", "", calls), done=False))
            lines.append(self._line({**self._text("", ""), **self._summary()}, done=True))
        return b"".join(lines)

    def whole(self, body: bytes) -> bytes:
        """An answer that was not streamed."""
        chunk = _chunk.decode(body)
        self._note(chunk)
        choice = chunk.choices[0] if chunk.choices else _Choice()
        said = choice.message or _Said(choice.text)
        self._collect(said)
        text = self._text(said.content or "", said.reasoning_content or "", self._tool_calls())
        return self._line({**text, **self._summary()}, done=True)

    def _event(self, data: bytes) -> Iterator[bytes]:
        if data == b"[DONE]":
            return
        chunk = _chunk.decode(data)
        if chunk.error:
            yield msgspec.json.encode({"error": chunk.error.message}) + b"\n"
            return
        self._note(chunk)
        for choice in chunk.choices[:1]:
            said = choice.delta or _Said(choice.text)
            self._collect(said)
            if said.content or said.reasoning_content:
                text = self._text(said.content or "", said.reasoning_content or "")
                yield self._line(text, done=False)

    def _note(self, chunk: _Chunk) -> None:
        last = self._last
        self._last = _Chunk(
            created=chunk.created or last.created,
            usage=chunk.usage or last.usage,
            timings=chunk.timings or last.timings,
        )
        if chunk.choices and chunk.choices[0].finish_reason:
            # Ollama knows no other reasons; a tool call is an answer that is complete.
            self._reason = "length" if chunk.choices[0].finish_reason == "length" else "stop"

    def _collect(self, said: _Said) -> None:
        """Ollama sends tool calls whole: put the pieces together."""
        for position, piece in enumerate(said.tool_calls or []):
            index = position if piece.index is None else piece.index
            call = self._calls.setdefault(index, _Function("", ""))
            call.name = (call.name or "") + (piece.function.name or "")
            call.arguments = (call.arguments or "") + (piece.function.arguments or "")

    def _tool_calls(self) -> list[dict[str, Any]]:
        return [
            {"function": {"index": index, "name": call.name, "arguments": _object(call.arguments)}}
            for index, call in sorted(self._calls.items())
        ]

    def _text(
        self, content: str, thinking: str, calls: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        thought = {"thinking": thinking} if thinking else {}
        if self._kind is Kind.GENERATE:
            return {"response": content, **thought}
        message: dict[str, Any] = {"role": "assistant", "content": content, **thought}
        if calls:
            message["tool_calls"] = calls
        return {"message": message}

    def _summary(self) -> dict[str, Any]:
        """Counters; durations in nanoseconds."""
        usage = self._last.usage or _Usage()
        timings = self._last.timings or _Timings()
        prompt, said = int(timings.prompt_ms * 1e6), int(timings.predicted_ms * 1e6)
        return {
            "done_reason": self._reason or "stop",
            "total_duration": self.load + prompt + said,
            "load_duration": self.load,
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": prompt,
            "eval_count": usage.completion_tokens,
            "eval_duration": said,
        }

    def _line(self, fields: dict[str, Any], *, done: bool) -> bytes:
        stamp = rfc3339(self._last.created)
        line = {"model": self._model, "created_at": stamp, **fields, "done": done}
        return msgspec.json.encode(line) + b"\n"


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    usage: _Usage = msgspec.field(default_factory=_Usage)


def embed_answer(body: bytes, model: str, load: int) -> bytes:
    """`/api/embed` out of OpenAI's embeddings."""
    answer = msgspec.json.decode(body, type=_Vectors)
    return msgspec.json.encode(
        {
            "model": model,
            "embeddings": [one.embedding for one in answer.data],
            "total_duration": load,
            "load_duration": load,
            "prompt_eval_count": answer.usage.prompt_tokens,
        }
    )


def embeddings_answer(body: bytes) -> bytes:
    """The older `/api/embeddings`: one text, one vector."""
    answer = msgspec.json.decode(body, type=_Vectors)
    return msgspec.json.encode({"embedding": answer.data[0].embedding if answer.data else []})


def rfc3339(seconds: float) -> str:
    """A point in time as Ollama writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def fault(message: str, request_id: str) -> bytes:
    """An error, as Ollama's clients show it."""
    return msgspec.json.encode({"error": message, "request_id": request_id})


def _object(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text or "{}")
    except msgspec.MsgspecError:
        return {}  # cut off by the token limit: half an object is none
