"""What a request wants from a model, and the little of its body that Stoker itself reads."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from stoker.base.errors import UserError
from stoker.gateway.bounds import Bounded, out_of_bounds
from stoker.gateway.nesting import check_nesting
from stoker.planner.spec import Mode


class Operation(Enum):
    """Value: the path on the engine and the mode a runner must be in to answer it.

    Nothing else of an engine is reachable: its slots, properties, adapters and tools are not in
    this list, hence not on any path.
    """

    CHAT = ("/v1/chat/completions", Mode.COMPLETION)
    COMPLETIONS = ("/v1/completions", Mode.COMPLETION)
    RESPONSES = ("/v1/responses", Mode.COMPLETION)
    RESPONSES_INPUT_TOKENS = ("/v1/responses/input_tokens", Mode.COMPLETION)
    MESSAGES = ("/v1/messages", Mode.COMPLETION)
    COUNT_TOKENS = ("/v1/messages/count_tokens", Mode.COMPLETION)
    TOKENIZE = ("/tokenize", Mode.COMPLETION)
    DETOKENIZE = ("/detokenize", Mode.COMPLETION)
    APPLY_TEMPLATE = ("/apply-template", Mode.COMPLETION)
    EMBEDDINGS = ("/v1/embeddings", Mode.EMBEDDING)
    RERANK = ("/v1/rerank", Mode.RERANKING)

    @property
    def path(self) -> str:
        return self.value[0]

    @property
    def mode(self) -> Mode:
        return self.value[1]

    @property
    def streams(self) -> bool:
        """Whether an engine answers with events when it is asked to."""
        return self in _STREAMED


_STREAMED: Final = frozenset({
    Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES, Operation.MESSAGES,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One model request: `body` is what the engine will read.

    `engine` is the backend named in the path. `stream`: the client expects events. `preload`: load
    the model and answer nothing. `keep_alive` (seconds) and `context_size` (tokens, for a load that
    this call causes) override what was configured.
    """

    operation: Operation
    model: str
    body: bytes
    engine: str | None = None
    stream: bool = False
    preload: bool = False
    keep_alive: float | None = None
    context_size: int | None = None


class _Fields(Bounded):
    """The fields of a body that decide where it goes. All but these and the bounded pass unread."""

    model: str = ""
    stream: Any = None
    query: Any = None


_decoder: Final = msgspec.json.Decoder(_Fields)


def decode_call(
    body: bytes, operation: Operation, engine: str | None = None, *, preload: bool = False
) -> Call:
    """Read the model's name. Raises UserError with Docker Model Runner's texts.

    Also refused are numbers out of all bounds, and what is nested too deeply.
    """
    try:
        fields = _decoder.decode(body)
        check_nesting(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and (found := out_of_bounds(error)):
            raise found from error
        raise UserError(
            f"invalid request: the body is not a JSON object with a model name ({error})",
            hint='send {"model": "pilot", "messages": [...]}',
        ) from error
    if not fields.model:
        raise UserError("model is required", hint='add "model": "pilot" to the request body')
    if operation is Operation.RERANK and fields.query == "":
        # llama.cpp aborts when query and document together have no token.
        raise UserError("invalid request: query must not be empty")
    stream = fields.stream is True and operation.streams
    return Call(operation, fields.model, body, engine, stream=stream, preload=preload)
