"""The ChatML conversation as text: the Jinja template that ships, and a plain-Python twin for
training.

The twin exists because rendering a hundred thousand conversations through Jinja is slow, and
because the trainer must know which characters the assistant wrote. `compare.py` checks that both
give the same text.
"""

import json
from pathlib import Path
from typing import Any

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
# In the vocabulary, but ordinary text: a client must see them to find a tool call.
MARKS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text("utf-8")

Message = dict[str, Any]
Piece = tuple[str, bool]  # text, and whether the assistant wrote it


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _call(call: Message) -> str:
    function = call.get("function", call)
    named = {"name": function["name"], "arguments": function["arguments"]}
    return f"<tool_call>\n{_json(named)}\n</tool_call>"


def _system(system: str, tools: list[Message]) -> str:
    if not tools:
        return system
    listed = "\n".join(_json(tool) for tool in tools)
    lead = system + "\n\n" if system else ""
    return (
        f"{lead}You can call these tools:\n<tools>\n{listed}\n</tools>\n"
        'Call one with:\n<tool_call>\n{"name": NAME, "arguments": {...}}\n</tool_call>'
    )


def pieces(messages: list[Message], tools: list[Message] | None = None) -> list[Piece]:
    """`messages` as ChatML pieces; the assistant's own words, closing mark included, are marked
    True.
    """
    out: list[Piece] = []
    system = ""
    if messages and messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    head = _system(system, tools or [])
    if head:
        out.append((f"{START}system\n{head}{END}\n", False))
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        if role == "tool":
            response = f"<tool_response>\n{content}\n</tool_response>"
            out.append((f"{START}user\n{response}{END}\n", False))
        elif role == "assistant":
            calls = [_call(call) for call in message.get("tool_calls") or []]
            body = "\n".join(([content] if content else []) + calls)
            out += [(f"{START}assistant\n", False), (body + END, True), ("\n", False)]
        else:
            out.append((f"{START}{role}\n{content}{END}\n", False))
    return out


def render(messages: list[Message], tools: list[Message] | None = None) -> str:
    """The whole conversation, ready for the assistant's next turn."""
    return "".join(text for text, _ in pieces(messages, tools)) + f"{START}assistant\n"
