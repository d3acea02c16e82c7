"""Numbers of a request that no engine is asked to follow, whatever it would make of them.

Engines check most of their numbers, each in its own words, and some not at all: one that looks back
a billion tokens for a penalty makes llama.cpp take 8 GB. What is no number passes: an engine says
better what it wanted instead.

Bounds are part of the types, so that they are checked while the body is decoded.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from stoker.base.errors import UserError

MAX_TOKENS: Final = 16 * 1024 * 1024
"""Of an answer: more than any model's context. -1 means until the context is full."""

MAX_ANSWERS: Final = 128
"""Answers to one request, as at OpenAI."""

MAX_LOOK_BACK: Final = 1024 * 1024
"""Tokens that a penalty looks back: llama.cpp allocates 8 bytes for each, used or not."""

_Other = str | bool | list[Any] | dict[str, Any] | None
_Answers = (
    Annotated[int, Meta(ge=1, le=MAX_ANSWERS)]
    | Annotated[float, Meta(ge=1, le=MAX_ANSWERS)]
    | _Other
)
_Tokens = (
    Annotated[int, Meta(ge=-1, le=MAX_TOKENS)]
    | Annotated[float, Meta(ge=-1, le=MAX_TOKENS)]
    | _Other
)
_Count = (
    Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | Annotated[float, Meta(ge=0, le=MAX_TOKENS)] | _Other
)
_LookBack = (
    Annotated[int, Meta(ge=-1, le=MAX_LOOK_BACK)]
    | Annotated[float, Meta(ge=-1, le=MAX_LOOK_BACK)]
    | _Other
)


class Bounded(msgspec.Struct):
    """The bounded numbers of every dialect: OpenAI's, Anthropic's and llama.cpp's own."""

    n: _Answers = None
    n_cmpl: _Answers = None
    best_of: _Answers = None
    max_tokens: _Tokens = None
    max_completion_tokens: _Tokens = None
    max_output_tokens: _Tokens = None
    n_predict: _Tokens = None
    n_keep: _Tokens = None
    n_discard: _Count = None
    top_n: _Count = None
    repeat_last_n: _LookBack = None
    dry_penalty_last_n: _LookBack = None


def check_bounds(body: dict[str, Any]) -> None:
    """For a body that is made here. Raises UserError."""
    try:
        msgspec.convert(body, Bounded)
    except msgspec.ValidationError as error:
        raise out_of_bounds(error) or error from error


def out_of_bounds(error: msgspec.MsgspecError) -> UserError | None:
    """What to tell whose body did not decode for a number out of bounds; None for other reasons."""
    expected, _, name = str(error).partition(" - at `$.")
    name = name.removesuffix("`")
    if name not in Bounded.__struct_fields__:
        return None
    bound = expected.rpartition("` ")[2].replace("<=", "at most").replace(">=", "at least")
    return UserError(f"invalid request: {name} must be {bound.removesuffix('.0')}")
