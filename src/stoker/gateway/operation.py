"""What a request wants from a model, and the little of its body that Stoker itself reads."""

from enum import Enum

import msgspec

from stoker.base.errors import UserError
from stoker.planner.spec import Mode


class Operation(Enum):
    """Value: the path on the engine and the mode a runner must be in to answer it."""

    CHAT = ("/v1/chat/completions", Mode.COMPLETION)
    COMPLETIONS = ("/v1/completions", Mode.COMPLETION)
    EMBEDDINGS = ("/v1/embeddings", Mode.EMBEDDING)

    @property
    def path(self) -> str:
        return self.value[0]

    @property
    def mode(self) -> Mode:
        return self.value[1]


class Call(msgspec.Struct):
    """The fields of a request body that decide where it goes. All others pass through unread."""

    model: str = ""


_decoder = msgspec.json.Decoder(Call)


def decode_call(body: bytes) -> Call:
    """Read the model's name. Raises UserError with Docker Model Runner's texts."""
    try:
        call = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"invalid request: the body is not a JSON object with a model name ({error})",
            hint='send {"model": "pilot", "messages": [...]}',
        ) from error
    if not call.model:
        raise UserError("model is required", hint='add "model": "pilot" to the request body')
    return call
