"""Ollama's requests, and what they are in OpenAI's words. Pure.

Only what no engine speaks is translated. Fields that are not listed have no meaning here. Null is
what a field is without a value: Ollama's own server, and the clients made for it, know no other.
"""

import base64
from typing import Any, Final

import msgspec

from stoker.base.errors import UserError
from stoker.base.units import parse_duration


class Request(msgspec.Struct):
    """What every request of Ollama's may have; `name` is the older word for `model`."""

    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    keep_alive: str | float | None = None
    options: dict[str, Any] | None = None
    format: Any = None
    think: bool | str | None = None

    @property
    def wanted(self) -> str:
        """The model's name. Raises UserError."""
        name = self.name or self.model
        if not name:
            raise UserError("model is required", hint='add "model": "pilot" to the request body')
        return name


class Message(msgspec.Struct):
    """One message of a chat; tool calls carry their arguments as objects."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Chat(Request):
    """`POST /api/chat`."""

    messages: list[Message] | None = None
    tools: list[dict[str, Any]] | None = None


class Generate(Request):
    """`POST /api/generate`."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    images: list[str] | None = None
    raw: bool | None = None


class Embed(Request):
    """`POST /api/embed`; `prompt` is the older `/api/embeddings`."""

    input: str | list[str] | None = None
    prompt: str | None = None
    dimensions: int | None = None


def keep_alive_of(request: Request) -> float | None:
    """Seconds, `inf` for ever. A number means seconds, a negative one for ever."""
    value = request.keep_alive
    if value is None and request.options:
        value = request.options.get("keep_alive")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError("invalid request: keep_alive is neither a duration nor a number of seconds")
    return parse_duration(str(value))


def context_of(request: Request) -> int | None:
    """Tokens of context that the request wishes for, when the model has yet to be loaded."""
    wish = (request.options or {}).get("num_ctx")
    return wish if isinstance(wish, int) and wish > 0 else None


# Same meaning, and often the same name. llama.cpp and vLLM take the ones OpenAI lacks as they are.
_OPTIONS: Final = {
    "num_predict": "max_tokens",
    **{
        name: name
        for name in (
            "temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "stop",
            "presence_penalty", "frequency_penalty", "repeat_penalty", "repeat_last_n",
            "mirostat", "mirostat_tau", "mirostat_eta", "logit_bias",
        )
    },
}  # fmt: skip


WHOLE_CONTEXT: Final = 1024 * 1024
"""Tokens to look back for -1, "all of the context": as many as anybody may ask for, and more than
contexts have. llama.cpp knows no -1 here, and takes more than there is for all."""


def chat_body(chat: Chat, *, stream: bool) -> dict[str, Any]:
    """The body of an OpenAI chat completion."""
    body = _body(chat, stream=stream)
    body["messages"] = _messages(chat.messages or [])
    if chat.tools:
        body["tools"] = chat.tools
    if chat.think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": bool(chat.think)}
        if isinstance(chat.think, str):
            body["reasoning_effort"] = chat.think
    return body


def prompt_body(generate: Generate, *, stream: bool) -> dict[str, Any]:
    """The body of an OpenAI completion: a prompt without the model's template."""
    return {**_body(generate, stream=stream), "prompt": generate.prompt or ""}


def chat_of(generate: Generate) -> Chat:
    """A generate request as the chat it stands for: a system text and one question."""
    asked = Message("user", generate.prompt or "", images=generate.images)
    system = [Message("system", generate.system)] if generate.system else []
    return Chat(
        model=generate.model,
        name=generate.name,
        options=generate.options,
        format=generate.format,
        think=generate.think,
        messages=[*system, asked],
    )


def embed_body(embed: Embed) -> dict[str, Any]:
    """The body of an OpenAI embeddings request."""
    body: dict[str, Any] = {"model": embed.wanted, "input": embed.input or embed.prompt or ""}
    if embed.dimensions:
        body["dimensions"] = embed.dimensions
    return body


def _body(request: Request, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": request.wanted, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    for name, value in (request.options or {}).items():
        # No tokens, or less, is "no limit", which is what leaving it out means.
        unlimited = name == "num_predict" and isinstance(value, int) and value <= 0
        whole = name == "repeat_last_n" and value == -1
        if name in _OPTIONS and value is not None and not unlimited:
            body[_OPTIONS[name]] = WHOLE_CONTEXT if whole else value
    if request.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif isinstance(request.format, dict) and request.format:
        schema = {"name": "answer", "schema": request.format}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.format:
        raise UserError('invalid request: format is neither "json" nor a JSON schema')
    return body


def _messages(messages: list[Message]) -> list[dict[str, Any]]:
    """Ollama's calls have no ids, and its results follow in their order."""
    out = []
    open_calls: list[str] = []
    calls = 0
    for message in messages:
        text = message.content or ""
        one: dict[str, Any] = {"role": message.role, "content": text}
        if message.images:
            one["content"] = _parts(text, message.images)
        if message.thinking:
            one["reasoning_content"] = message.thinking
        if message.tool_calls:
            one["tool_calls"] = [_call(calls + i, c) for i, c in enumerate(message.tool_calls)]
            open_calls = [call["id"] for call in one["tool_calls"]]
            calls += len(message.tool_calls)
        if message.role == "tool":
            oldest = open_calls.pop(0) if open_calls else "call_0"
            one["tool_call_id"] = message.tool_call_id or oldest
            if message.tool_name:
                one["name"] = message.tool_name
        out.append(one)
    return out


def _parts(text: str, images: list[str]) -> list[dict[str, Any]]:
    pictures = [{"type": "image_url", "image_url": {"url": _picture(image)}} for image in images]
    return [{"type": "text", "text": text}, *pictures]


def _call(index: int, call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UserError("invalid request: a tool call has no function with a name")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments or {}).decode()
    return {
        "id": str(call.get("id") or f"call_{index}"),
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


_KINDS: Final = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


def _picture(image: str) -> str:
    """A picture as a URL: Ollama sends bare base64."""
    image = image.strip()
    if image.startswith(("data:", "http://", "https://")):
        return image
    try:
        head = base64.b64decode(image[:16])
    except ValueError as error:  # which binascii.Error is too
        raise UserError("invalid request: an image is not base64") from error
    kind = next((kind for mark, kind in _KINDS.items() if head.startswith(mark)), "jpeg")
    return f"data:image/{kind};base64,{image}"
