"""Depth that a body hides in its texts, for an engine to find.

A body that is nested too deeply fails to decode. But llama.cpp takes two kinds of texts apart by
recursion: the arguments of a call, which are JSON, and a grammar. Fifty thousand brackets in one of
them exhaust its stack, and everybody's answers end with it.
"""

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import msgspec

from stoker.base.errors import UserError

MAX_DEPTH: Final = 1000
"""As deep as a body itself may be."""

MAX_BRACKETS: Final = 1_000_000
"""In all such texts of a body: each is looked at, and no context holds that many."""

MAX_PARTS: Final = 4_000_000
"""Values in a body that is looked into: each takes memory, and no context holds that many."""

# In a body, a bracket may also be written as `\u005b`.
_SIGNS: Final = (b"[", b"{", b"(", b"\\u00")
_BRACKETS: Final = {"arguments": "[]{}", "grammar": "()"}
_OPENING: Final = {"arguments": "[{", "grammar": "("}
# A name that is spelled with escapes has one of these as well.
_NAMES: Final = (b"arguments", b"grammar", b"\\u00")
_NO_BRACKET: Final = {name: re.compile(f"[^{re.escape(of)}]+") for name, of in _BRACKETS.items()}
# One that does not end is the rest: to look for another in it would take the square of its length.
_TEXT: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEP: Final = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}


def check_nesting(body: bytes) -> None:
    """For a body that is JSON. Raises UserError naming the field."""
    # A look and no more for nearly every body.
    if not any(name in body for name in _NAMES) or sum(map(body.count, _SIGNS)) <= MAX_DEPTH:
        return
    if body.count(b",") > MAX_PARTS:
        raise UserError(f"invalid request: it must have at most {MAX_PARTS} parts")
    left = MAX_BRACKETS
    for name, text in _texts(msgspec.json.decode(body)):
        # What stands between quotes in JSON is not taken apart.
        code = _TEXT.sub("", text) if name == "arguments" else text
        brackets = _NO_BRACKET[name].sub("", code)
        left -= len(brackets)
        if left < 0 or max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH:
            raise UserError(f"invalid request: {name} must be nested at most {MAX_DEPTH} deep")


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from (
                (name, text)
                for name, text in one.items()
                if name in _BRACKETS and isinstance(text, str) and _may_be_deep(name, text)
            )
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _may_be_deep(name: str, text: str) -> bool:
    return sum(map(text.count, _OPENING[name])) > MAX_DEPTH
