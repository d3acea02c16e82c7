"""The event stream of a response, with what OpenAI's clients need of every event. Pure."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from stoker.wire.responses import Create
from stoker.wire.sse import SseDecoder, encode_event

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponseStream:
    """`feed` the engine's chunks, then `flush`. `done` is called with the finished response."""

    def __init__(self, create: Create, done: Callable[[dict[str, Any]], None]) -> None:
        self._create = create
        self._done = done
        self._events = SseDecoder()
        self._sequence = 0
        self._outputs: dict[str, int] = {}
        self._parts: dict[str, int] = {}
        self._arguments_done: set[str] = set()
        self._id = ""

    def feed(self, chunk: bytes) -> bytes:
        """The events that can be sent now."""
        return b"".join(
            sent for event in self._events.feed(chunk) for sent in self._translate(event.data)
        )

    def flush(self) -> bytes:
        """What is left."""
        return b"".join(
            sent for event in self._events.flush() for sent in self._translate(event.data)
        )

    def failure(self, code: str | None, message: str) -> bytes:
        """The last two events of a response that failed."""
        fault = {"code": code or "server_error", "message": message}
        failed = self._create.complete({"id": self._id, "status": "failed"})
        failed["error"] = fault
        return self._send({"type": "error", **fault, "param": None}) + self._send(
            {"type": "response.failed", "response": failed}
        )

    def _translate(self, data: bytes) -> Iterator[bytes]:
        if data == b"[DONE]":
            return  # Chat completions end with it; this stream ends with its last event.
        event = msgspec.json.decode(data, type=dict[str, Any])
        kind = event.get("type", "")
        if "error" in event and not kind:
            fault = event["error"]
            yield self.failure(fault.get("type"), fault.get("message", ""))
            return
        if isinstance(event.get("response"), dict):
            event["response"] = self._create.complete(event["response"])
            self._id = event["response"]["id"]
            if kind in _ENDS:
                event["type"] = f"response.{event['response']['status']}"
                self._done(event["response"])
        item = event.get("item")
        if isinstance(item, dict):
            if kind == "response.output_item.added":
                self._outputs.setdefault(item.get("id", ""), len(self._outputs))
            elif item.get("type") == "function_call":
                yield from self._end_arguments(item)
            event["output_index"] = self._outputs.get(item.get("id", ""), 0)
        else:
            self._place(event)
        yield self._send(event)

    def _place(self, event: dict[str, Any]) -> None:
        """Where in the response an event belongs, and what may not be missing in it."""
        owner = event.get("item_id")
        if not isinstance(owner, str):
            return
        kind = event["type"]
        event["output_index"] = self._outputs.setdefault(owner, len(self._outputs))
        if kind == "response.content_part.added":
            self._parts[owner] = self._parts.get(owner, -1) + 1
        if kind.startswith(("response.content_part", "response.output_text")):
            event["content_index"] = self._parts.get(owner, 0)
        elif kind.startswith("response.reasoning"):
            event.setdefault("content_index", 0)
        if kind.startswith("response.output_text"):
            event.setdefault("logprobs", [])
        if kind == "response.function_call_arguments.done":
            self._arguments_done.add(owner)
        part = event.get("part")
        if isinstance(part, dict) and part.get("type") == "output_text":
            event["part"] = {"annotations": [], "logprobs": [], **part}

    def _end_arguments(self, item: dict[str, Any]) -> Iterator[bytes]:
        """llama.cpp ends a call without saying that its arguments are complete."""
        owner = item.get("id", "")
        if owner in self._arguments_done:
            return
        self._arguments_done.add(owner)
        yield self._send({
            "type": "response.function_call_arguments.done",
            "item_id": owner,
            "output_index": self._outputs.get(owner, 0),
            "name": item.get("name", ""),
            "arguments": item.get("arguments", ""),
        })  # fmt: skip

    def _send(self, event: dict[str, Any]) -> bytes:
        event = {"type": event["type"], "sequence_number": self._sequence, **event}
        event["sequence_number"] = self._sequence
        self._sequence += 1
        return encode_event(event["type"], msgspec.json.encode(event))
