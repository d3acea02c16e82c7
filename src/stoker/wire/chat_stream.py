"""A streamed chat answer as the one object it would have been without streaming. Pure."""

from typing import Any, Final

import msgspec

from stoker.wire.sse import SseDecoder

_MOST_CALLS: Final = 128
"""No engine makes more tool calls at once; an index above is not believed."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str = ""
    created: int = 0
    model: str = ""
    choices: list[_Choice] = []
    usage: Any = None


def whole_chat(events: bytes) -> bytes | None:
    """The `chat.completion` of such events; None when they are not those of a chat.

    Events may end in the middle; then so does the answer, without a `finish_reason`.
    """
    first: _Chunk | None = None
    usage: Any = None
    choices: dict[int, dict[str, Any]] = {}
    for event in SseDecoder().feed(events):
        if event.data == b"[DONE]":
            break
        try:
            chunk = msgspec.json.decode(event.data, type=_Chunk)
        except msgspec.MsgspecError:
            return None
        first, usage = first or chunk, chunk.usage or usage
        for choice in chunk.choices:
            _add(choices.setdefault(choice.index, _empty(choice.index)), choice)
    if first is None or not choices:
        return None
    whole = {
        "id": first.id,
        "object": "chat.completion",
        "created": first.created,
        "model": first.model,
        "choices": [choices[index] for index in sorted(choices)],
        "usage": usage,
    }
    return msgspec.json.encode(whole)


def _empty(index: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": ""}
    return {"index": index, "message": message, "finish_reason": None}


def _add(choice: dict[str, Any], chunk: _Choice) -> None:
    message, delta = choice["message"], chunk.delta
    choice["finish_reason"] = chunk.finish_reason or choice["finish_reason"]
    message["content"] += delta.content or ""
    if delta.reasoning_content:
        thought = message.get("reasoning_content", "")
        message["reasoning_content"] = thought + delta.reasoning_content
    for piece in delta.tool_calls or []:
        calls = message.setdefault("tool_calls", [])
        while len(calls) <= piece.index < _MOST_CALLS:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        if piece.index < len(calls):
            call = calls[piece.index]
            call["id"] = piece.id or call["id"]
            call["function"]["name"] += piece.function.name or ""
            call["function"]["arguments"] += piece.function.arguments or ""
