"""What llama.cpp is told that decides how much memory it takes: for its command and for the plan.

The one owner of these numbers. `llamacpp.py` writes them into the argument vector, `options_of`
gives them to the planner's estimate, user's flags included, which come last and win.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.engines.flags import TABLE, engine_flags
from stoker.engines.llamacpp_program import NAME
from stoker.planner.fit import GpuPolicy
from stoker.planner.options import Options
from stoker.planner.spec import Mode, ModelSpec, Offload, RunSettings

DEFAULT_CONTEXT: Final = 8192
"""Tokens when nobody asked for more: a model trained for 128k would take gigabytes of KV cache."""

ALL_CONTEXT: Final = -1
"""Somebody's wish for all that the model was trained for; never for less."""

MAX_CONTEXT: Final = 16 * 1024 * 1024
"""Tokens. No model is trained for more, and llama.cpp works for minutes on such a number."""

MAX_SLOTS: Final = 256
"""LLAMA_MAX_SEQ; llama.cpp loads the whole model before it refuses more."""

CACHE_RAM: Final = 256
"""MiB of prompts kept in host memory. llama.cpp's own default is 8192, for each model."""

WHOLE_INPUT: Final = 2048
"""Tokens of a batch of embeddings: a longer input is refused, and 512 is llama.cpp's default.
More costs compute buffers that grow with the square."""

_MIB: Final = 1024 * 1024
_UNLIMITED_CACHE: Final = 8192
"""MiB planned for `--cache-ram -1`: no limit; this is llama.cpp's own default."""

_ALL: Final = 1 << 16
"""More layers than any model has."""

_NUMBERS: Final = {
    "-c": "context", "--ctx-size": "context",
    "-np": "slots", "--parallel": "slots",
    "-b": "batch", "--batch-size": "batch",
    "-ub": "micro_batch", "--ubatch-size": "micro_batch",
    "-cram": "prompt_cache", "--cache-ram": "prompt_cache",
    "-ncmoe": "host_experts", "--n-cpu-moe": "host_experts",
}  # fmt: skip
_LAYERS: Final = ("-ngl", "--gpu-layers", "--n-gpu-layers")
_PLACES_ITSELF: Final = frozenset({
    "-fit", "--fit", "-mg", "--main-gpu", "-ncffn", "--n-cpu-ffn", "-nkvo", "--no-kv-offload",
    "-ot", "--override-tensor", "-sm", "--split-mode", "-ts", "--tensor-split",
})  # fmt: skip
"""Flags of users who know better where things go than a plan does."""

_WORDS: Final = {
    "-ctk": "keys", "--cache-type-k": "keys",
    "-ctv": "values", "--cache-type-v": "values",
}  # fmt: skip
_SWITCHES: Final = {
    "-kvu": ("unified", True), "--kv-unified": ("unified", True),
    "-no-kvu": ("unified", False), "--no-kv-unified": ("unified", False),
    "--swa-full": ("full_window", True),
    "--embedding": ("embeddings", True), "--embeddings": ("embeddings", True),
    "--rerank": ("embeddings", True), "--reranking": ("embeddings", True),
}  # fmt: skip
_OFF: Final = frozenset({"off", "false", "disabled", "0"})


def context_of(model: ModelSpec, settings: RunSettings) -> int:
    """Tokens of context; 0 is llama.cpp's word for all that the model was trained for."""
    wanted = settings.context_size
    if wanted:
        return max(wanted, 0)
    # 0 is no size; Docker Model Runner takes it for "not set", and so do its clients.
    return min(model.context_size or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def check_sizes(settings: RunSettings) -> None:
    """Refuse what no model can have. Raises InvalidSetting."""
    flags = engine_flags(settings.runtime_flags, engine=NAME)
    for flag, value in pairwise([*flags, ""]):
        if (flag in _NUMBERS or flag in _LAYERS) and not _is_whole(flag, value):
            raise InvalidSetting(
                f'runtime flag "{flag}" wants a whole number, not "{value}"',
                hint="written out: llama.cpp reads 1e5 as 1",
            )
    for slots in _numbers(flags, "slots"):
        if slots > MAX_SLOTS:
            raise InvalidSetting(
                f"{slots} requests at once are impossible: llama.cpp serves up to {MAX_SLOTS}",
                hint=f"--parallel N with N up to {MAX_SLOTS}; more wait for their turn",
            )
    for context in (settings.context_size, *_numbers(flags, "context")):
        if context is not None and not -1 <= context <= MAX_CONTEXT:
            raise InvalidSetting(
                f"context size {context} is impossible",
                hint="a number of tokens, or -1 for all that the model was trained for",
            )


def options_of(model: ModelSpec, mode: Mode, settings: RunSettings) -> Options:
    """How llama.cpp will run this model. `context` is None for all it was trained for.

    Raises InvalidSetting for a flag that `command` would refuse.
    """
    options = Options(
        context=context_of(model, settings) or None,
        prompt_cache=CACHE_RAM * _MIB,
        extra_weights=model.mmproj_size,
        offload=settings.offload,
    )
    if mode is not Mode.COMPLETION:
        options = replace(options, embeddings=True, batch=WHOLE_INPUT, micro_batch=WHOLE_INPUT)
    return _with_flags(options, engine_flags(settings.runtime_flags, engine=NAME))


def settled(settings: RunSettings, trained: int | None) -> RunSettings:
    """With the number of tokens where all of the context was asked for; `trained` may be unknown.

    Only a number can be refused: where the context is open, a plan takes what fits.
    """
    if settings.context_size != ALL_CONTEXT or not trained:
        return settings
    return replace(settings, context_size=trained)


def policy_of(settings: RunSettings) -> GpuPolicy:
    """Whether GPUs may be used, by the flag that says how many layers go there."""
    policy = GpuPolicy.PREFERRED
    for flag, value in pairwise([*engine_flags(settings.runtime_flags, engine=NAME), ""]):
        if flag in _LAYERS:
            policy = {"0": GpuPolicy.NEVER, "all": GpuPolicy.REQUIRED}.get(value, policy)
        elif (flag, value) in (("-dev", "none"), ("--device", "none")):
            policy = GpuPolicy.NEVER
    return policy


def is_planned(settings: RunSettings) -> bool:
    """Whether a plan decides what goes to GPUs, and not the user's own flags."""
    return _PLACES_ITSELF.isdisjoint(engine_flags(settings.runtime_flags, engine=NAME))


def offload_arguments(offload: Offload | None) -> list[str]:
    """The flags that put layers where the plan wants them."""
    if offload is None:
        return []
    if not offload.layers:
        # Zero layers are not enough: large batches would still be computed on the GPU.
        return ["--device", "none"]
    names, counts = zip(*offload.layers, strict=True)
    arguments = ["--device", ",".join(names), "--gpu-layers", str(offload.count)]
    if len(names) > 1:
        arguments += ["--tensor-split", ",".join(map(str, counts))]
    if offload.host_experts:
        arguments += ["--n-cpu-moe", str(offload.host_experts)]
    return arguments


def set_by_flags(settings: RunSettings) -> frozenset[str]:
    """The fields of Options that the user's flags decide."""
    return frozenset(_changes(engine_flags(settings.runtime_flags, engine=NAME)))


def _with_flags(options: Options, flags: Sequence[str]) -> Options:
    return replace(options, **_changes(flags))  # type: ignore[arg-type]  # keyed by the tables


def _changes(flags: Sequence[str]) -> dict[str, object]:
    changes: dict[str, object] = {}
    for flag, value in pairwise([*flags, ""]):
        if flag in _SWITCHES:
            field, on = _SWITCHES[flag]
            changes[field] = on
        elif flag in _WORDS:
            changes[_WORDS[flag]] = value
        elif flag in _LAYERS and _is_number(value) and int(value) >= 0:
            changes["gpu_layers"] = int(value)
        elif flag in ("-dev", "--device") and value != "none":
            changes["devices"] = tuple(value.split(","))
        elif flag in ("-cmoe", "--cpu-moe"):
            changes["host_experts"] = _ALL
        elif flag in ("-fa", "--flash-attn"):
            changes["flash_attention"] = value not in _OFF
        elif flag in _NUMBERS and _is_number(value):
            changes |= _number(_NUMBERS[flag], int(value))
    if "slots" in changes:
        # llama.cpp shares one cache only when the number of slots is left to it, or when told to.
        changes.setdefault("unified", False)
    return changes


def _number(field: str, value: int) -> dict[str, object]:
    if field == "prompt_cache":
        return {field: (_UNLIMITED_CACHE if value < 0 else value) * _MIB}
    if field == "context":
        return {field: value if value > 0 else None}
    # 0 and negative numbers mean llama.cpp's own choice.
    return {field: value} if value > 0 else {}


def _numbers(flags: Sequence[str], field: str) -> Iterator[int]:
    for flag, value in pairwise([*flags, ""]):
        if _NUMBERS.get(flag) == field and _is_number(value):
            yield int(value)


def _is_whole(flag: str, value: str) -> bool:
    return _is_number(value) or value in TABLE[flag].words


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
