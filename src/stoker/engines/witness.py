"""What a running engine says of itself: where to ask, and what its answers mean. Pure."""

from typing import Any, Final

import msgspec

from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.vllm import NAME as VLLM

PATHS: Final = {LLAMACPP: ("/props", "/slots"), VLLM: ("/v1/models", "/version")}
"""What to get of an engine; all of it small JSON."""


class _Generation(msgspec.Struct):
    n_ctx: int


class _Props(msgspec.Struct):
    default_generation_settings: _Generation
    total_slots: int
    build_info: str = ""
    model_path: str = ""


class _Slot(msgspec.Struct):
    n_ctx: int


class _Card(msgspec.Struct):
    max_model_len: int
    root: str | None = None


class _Cards(msgspec.Struct):
    data: list[_Card]


class _Version(msgspec.Struct):
    version: str


def account_of(engine: str, answers: list[bytes], *, unified: bool) -> dict[str, Any]:
    """In the words of `configure`: context-size, parallel, build, model. Raises MsgspecError.

    `unified`: whether the slots share the context; else each has its part of it.
    """
    if engine == LLAMACPP:
        props = msgspec.json.decode(answers[0], type=_Props)
        slots = msgspec.json.decode(answers[1], type=list[_Slot])
        each = slots[0].n_ctx if slots else props.default_generation_settings.n_ctx
        # Compiled from a package, it does not know its own number.
        build = {} if props.build_info.startswith("b0-") else {"build": props.build_info}
        return {
            "context-size": each if unified else each * props.total_slots,
            "parallel": props.total_slots,
            **build,
            "model": props.model_path,
        }
    card = msgspec.json.decode(answers[0], type=_Cards).data[0]
    version = msgspec.json.decode(answers[1], type=_Version).version
    return {"context-size": card.max_model_len, "build": version, "model": card.root}
