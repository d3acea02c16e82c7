"""An engine's errors: what they say, and whose fault they are."""

import re
from typing import Any, Final

import msgspec

from stoker.gateway.answer import openai_fault


class _EngineError(msgspec.Struct):
    message: str = ""
    type: str = "server_error"
    code: Any = None


class _EngineEnvelope(msgspec.Struct):
    error: _EngineError


_engine_error: Final = msgspec.json.Decoder(_EngineEnvelope)


def engine_text(body: bytes) -> str:
    """What an error in OpenAI's form says, for dialects that have a form of their own."""
    return engine_fault(body)[1]


def engine_fault(body: bytes) -> tuple[str | None, str]:
    """Code and text of an error in OpenAI's form; whatever else it is, is all text."""
    try:
        error = _engine_error.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, body.decode(errors="replace")
    return None if error.code is None else str(error.code), error.message


_WRONG: Final = "invalid_request_error"
_NO_PROJECTOR: Final = "use a multimodal model: one packaged with its projector, mmproj"
_NO_POOLING: Final = (
    "this model was not made for embeddings: it has no pooling type (use an embedding model, or:"
    " stoker configure --mode embedding MODEL -- --pooling mean)"
)
_TOO_LONG: Final = (
    "the input has more tokens than fit into one batch of this model (split it into shorter"
    " pieces, or raise --ubatch-size with stoker configure)"
)

# What llama.cpp says when a request asks of a model what it cannot do, and words that help.
_CANNOT: Final = {
    b"image input is not supported": f"this model cannot see images ({_NO_PROJECTOR})",
    b"audio input is not supported": f"this model cannot hear audio ({_NO_PROJECTOR})",
    b"Pooling type 'none'": _NO_POOLING,
    b"is too large to process": _TOO_LONG,
    b"_M_range_check": "the vocabulary of this model has no such token",
}

_PAST_CONTEXT: Final = re.compile(
    rb"request \((\d+) tokens\) exceeds the available context size \((\d+) tokens\)"
)


class _PastContext(msgspec.Struct):
    """OpenAI's code, by which clients know it, and what llama.cpp adds to the envelope."""

    message: str
    n_prompt_tokens: int
    n_ctx: int
    type: str = "exceed_context_size_error"
    param: str | None = None
    code: str = "context_length_exceeded"


# llama.cpp answers 500 to whatever its readers of requests throw; these are words of theirs, and
# not of its computing.
_READING: Final = re.compile(
    rb"json\.exception|is required|must be|must have|[Uu]nsupported|not supported|[Ii]nvalid|"
    rb"[Mm]issing|[Uu]nknown|[Ee]xpected|[Ff]ailed to parse|only one of|Cannot|template|grammar"
)


def blame(status: int, body: bytes) -> tuple[int, bytes]:
    """An engine's error with the right status; known ones say what helps, others stay as said."""
    if status < 400:
        return status, body
    if past := _PAST_CONTEXT.search(body):
        return 400, msgspec.json.encode({"error": _past_context(*map(int, past.groups()))})
    for mark, message in _CANNOT.items():
        if mark in body:
            return 400, openai_fault(message, _WRONG, "unsupported_input")
    if status == 500 and _READING.search(body):
        return 400, openai_fault(engine_text(body), _WRONG, None)
    return status, body


def _past_context(tokens: int, context: int) -> _PastContext:
    # It begins as OpenAI's does: clients look for these words too.
    return _PastContext(
        f"This model's maximum context length is {context} tokens here, and the request has"
        f" {tokens} (shorten it, or raise the context: stoker configure MODEL --context-size N)",
        tokens,
        context,
    )
