"""OpenAI's Responses: what engines leave out of requests and answers. Pure.

Engines speak the dialect without a memory and with gaps; conversation is put together from stored
items here, and objects get all the fields that OpenAI's clients read.
"""

from typing import Any, Final

import msgspec

from stoker.base.errors import UserError

Item = dict[str, Any]

# What a response repeats of its request, with the value when the request was silent.
_REPEATED: Final[dict[str, Any]] = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "max_output_tokens": None,
    "previous_response_id": None,
    "reasoning": None,
    "store": True,
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
    "user": None,
}
_REFUSED: Final = {
    "background": "run it without background",
    "conversation": "use previous_response_id",
    "prompt": "send instructions and input",
}


class _Text(msgspec.Struct):
    format: dict[str, Any] | None = None


class _Read(msgspec.Struct):
    """What is looked into here; all else is the engine's to check."""

    previous_response_id: str | None = None
    text: _Text | None = None
    tools: list[dict[str, Any]] | None = None


class Create:
    """A request for a response, which came `at` (Unix time, seconds).

    Raises UserError for what cannot be honoured.
    """

    def __init__(self, body: bytes, at: int) -> None:
        try:
            fields = msgspec.json.decode(body, type=dict[str, Any])
            read = msgspec.convert(fields, _Read)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"invalid request: {error}") from error
        for name, hint in _REFUSED.items():
            if fields.get(name):
                raise UserError(f"{name} is not supported", hint=hint)
        self.previous = read.previous_response_id or None
        """The response that this one continues."""
        self._form: dict[str, Any] = (read.text and read.text.format) or {}
        self._tools = read.tools or []
        self.fields: dict[str, Any] = fields
        self._at = at
        self.input: list[Item] = _items(fields.get("input"))

    @property
    def store(self) -> bool:
        """Whether the answer is to be remembered."""
        return self.fields.get("store") is not False

    def upstream(self, history: tuple[Item, ...]) -> bytes:
        """The body for the engine: the whole conversation, and only what it can read."""
        sent = {name: value for name, value in self.fields.items() if name not in _OURS}
        sent["input"] = [*history, *self.input]
        form = self._form
        if form.get("type") == "json_schema":
            schema = {k: v for k, v in form.items() if k != "type"}
            sent["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif form.get("type") == "json_object":
            sent["response_format"] = {"type": "json_object"}
        self._choose_tool(sent)
        return msgspec.json.encode(sent)

    def _choose_tool(self, sent: dict[str, Any]) -> None:
        """A tool chosen by name is the only one on offer, and required."""
        choice = self.fields.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "function":
            sent["tools"] = [tool for tool in self._tools if tool.get("name") == choice.get("name")]
            sent["tool_choice"] = "required"

    def complete(self, response: dict[str, Any]) -> dict[str, Any]:
        """A response of the engine's with all fields, in OpenAI's words."""
        fields = {
            name: default if self.fields.get(name) is None else self.fields[name]
            for name, default in _REPEATED.items()
        }
        usage = response.get("usage")
        full = {
            "id": response.get("id", ""),
            "object": "response",
            # Engines say it at the end of a stream only, and mean the end.
            "created_at": self._at,
            "status": response.get("status", "in_progress"),
            "error": None,
            "incomplete_details": None,
            "model": self.fields.get("model"),
            "output": response.get("output", []),
            "usage": _usage(usage) if usage else None,
            **fields,
        }
        limit = self.fields.get("max_output_tokens")
        # Engines say "completed" also when the limit cut the answer off.
        if usage and isinstance(limit, int) and usage.get("output_tokens", 0) >= limit > 0:
            full["status"] = "incomplete"
            full["incomplete_details"] = {"reason": "max_output_tokens"}
        return full


_OURS: Final = frozenset({
    "previous_response_id", "store", "metadata", "user", "truncation", "text", "background",
    "conversation", "prompt", "include", "safety_identifier", "prompt_cache_key", "service_tier",
})  # fmt: skip


def _items(value: Any) -> list[Item]:
    if value is None:
        return []
    if isinstance(value, str):
        part = {"type": "input_text", "text": value}
        return [{"type": "message", "role": "user", "content": [part]}]
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return [_item(item) for item in value]
    raise UserError("failed to parse input: it is neither a text nor a list of items")


def _item(item: Item) -> Item:
    """An item with its type, which messages may leave out."""
    return {"type": "message", **item} if "role" in item and "type" not in item else item


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "input_tokens": usage.get("input_tokens", 0),
        "input_tokens_details": {"cached_tokens": 0, **usage.get("input_tokens_details", {})},
        "output_tokens": usage.get("output_tokens", 0),
        "output_tokens_details": {"reasoning_tokens": 0, **usage.get("output_tokens_details", {})},
        "total_tokens": usage.get("total_tokens", 0),
    }
