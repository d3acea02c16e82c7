"""What users may set for vLLM: raw flags, and the overrides that Docker Model Runner documents.

Flags arrive over HTTP: only what is listed passes. Never: whatever names a file, a URL, a class or
a plugin, listens, authenticates, logs elsewhere, or runs code of the model's repository.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from stoker.base.errors import InvalidSetting

_ALLOWED_WORDS: Final = """
    --tensor-parallel-size -tp --pipeline-parallel-size -pp --data-parallel-size -dp
    --enable-expert-parallel --max-model-len --max-num-batched-tokens --max-num-seqs
    --block-size --cpu-offload-gb --seed --dtype
    --quantization -q --kv-cache-dtype --kv-cache-memory-bytes --gpu-memory-utilization
    --enforce-eager --no-enforce-eager --enable-prefix-caching --no-enable-prefix-caching
    --enable-chunked-prefill --no-enable-chunked-prefill --async-scheduling --no-async-scheduling
    --disable-custom-all-reduce --disable-sliding-window --tokenizer-mode --max-logprobs
    --load-format --disable-log-stats --safetensors-load-strategy
    --enable-auto-tool-choice --tool-call-parser --reasoning-parser --return-tokens-as-token-ids
    --chat-template-content-format --response-role --convert --runner
    --enable-prompt-tokens-details --enable-force-include-usage --limit-mm-per-prompt
    --optimization-level --long-prefill-token-threshold
"""
ALLOWED: Final = frozenset(_ALLOWED_WORDS.split())

_TEXT: Final = frozenset({"--limit-mm-per-prompt"})
"""Flags whose value is JSON, such as `{"image": 2}`: kinds of media and numbers, no names."""

FLAG_KEYS: Final = {
    "max_model_len": "--max-model-len",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "tensor_parallel_size": "--tensor-parallel-size",
}
"""Documented by Docker as keys of `--hf_overrides`; vLLM itself knows them only as flags."""

_KEY: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NUMBER: Final = re.compile(r"-\d*\.?\d+")
_CODE: Final = frozenset({"auto_map", "trust_remote_code"})
"""Keys of config.json that make a loader run Python from the model's repository."""


_NOT_OURS: Final = (
    "either vLLM has no such flag, or it is about files, addresses, keys, plugins or remote code,"
    " which are not for requests to set"
)
_HINTS: Final = dict.fromkeys(
    ("--cache-type-k", "--cache-type-v"), "that is llama.cpp's; vLLM's is: -- --kv-cache-dtype fp8"
) | dict.fromkeys(
    ("--gpu-layers", "--n-gpu-layers", "-ngl"),
    "that is llama.cpp's; all of vLLM is on GPUs, or nothing, as it was installed",
)
"""What `configure --kv-type` and `--gpu` become."""

_RENAMED: Final = {"--parallel": "--max-num-seqs"}
"""What `configure --parallel` becomes, besides `--kv-unified`, which is always so with vLLM."""
_ALWAYS: Final = frozenset({"--kv-unified"})

_COUNTS: Final = frozenset({
    "--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size",
    "-dp", "--max-num-batched-tokens", "--max-num-seqs", "--block-size", "--cpu-offload-gb",
    "--seed", "--kv-cache-memory-bytes", "--gpu-memory-utilization", "--max-logprobs",
    "--max-model-len", "--long-prefill-token-threshold",
})  # fmt: skip
_COUNT: Final = re.compile(r"-?\d*\.?\d+[kKmMgGtT]?")


def vllm_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """The arguments for these flags. Raises InvalidSetting with Docker Model Runner's wording."""
    arguments: list[str] = []
    for token in flags:
        if not token.startswith("-") or _NUMBER.fullmatch(token):
            if not arguments:
                raise InvalidSetting(f'runtime flags must begin with a flag, not with "{token}"')
            _check_value(arguments, token, token)
            arguments.append(token)
            continue
        name, equals, value = token.partition("=")
        # vLLM takes --max_model_len for --max-model-len; so must the check.
        key = name.replace("_", "-") if name.startswith("--") else name
        key = _RENAMED.get(key, key)
        if key in _ALWAYS:
            continue
        if key not in ALLOWED:
            raise InvalidSetting(
                f'runtime flag "{name}" is not allowed for backend "vllm"',
                hint=_HINTS.get(key, _NOT_OURS),
            )
        arguments.append(key)
        if equals:
            if value.startswith("-") and not _NUMBER.fullmatch(value):
                raise InvalidSetting(
                    f"invalid flag \"{token}\": value cannot start with '-' "
                    "unless followed by a digit"
                )
            _check_value(arguments, value, token)
            arguments.append(value)
    return tuple(arguments)


def override_flags(overrides: Mapping[str, object]) -> tuple[str, ...]:
    """`hf_overrides` as arguments: known settings as flags, the rest as JSON for config.json.

    Raises InvalidSetting.
    """
    _check_keys(overrides)
    arguments: list[str] = []
    for key, flag in FLAG_KEYS.items():
        if key in overrides:
            arguments += [flag, _number(key, overrides[key])]
    rest = {key: value for key, value in overrides.items() if key not in FLAG_KEYS}
    if rest:
        arguments += ["--hf-overrides", msgspec.json.encode(rest).decode()]
    return tuple(arguments)


def check_utilization(value: float | None) -> None:
    """Raises InvalidSetting."""
    if value is not None and not 0.0 <= value <= 1.0:
        raise InvalidSetting(f"gpu-memory-utilization must be between 0.0 and 1.0, got {value:g}")


def _number(key: str, value: object) -> str:
    whole = key != "gpu_memory_utilization"
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if not right or isinstance(value, bool):
        raise InvalidSetting(f"{key} must be a {'whole ' if whole else ''}number, got {value!r}")
    if key == "gpu_memory_utilization" and isinstance(value, int | float):
        check_utilization(value)
    return str(value)


def _check_value(before: Sequence[str], value: str, token: str) -> None:
    if before[-1] not in _TEXT and ("/" in value or "\\" in value):
        raise InvalidSetting(
            f"invalid runtime flag \"{token}\": paths are not allowed (contains '/' or '\\\\')"
        )
    wrong = before[-1] in _COUNTS and not _COUNT.fullmatch(value)
    if wrong and (before[-1], value) != ("--max-model-len", "auto"):
        raise InvalidSetting(f'runtime flag "{before[-1]}" wants a number, not "{value}"')


def _check_keys(value: object) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise InvalidSetting(
                    f'invalid hf_overrides key "{key}": must contain only alphanumeric characters'
                    " and underscores, and start with a letter or underscore"
                )
            if key in _CODE:
                raise InvalidSetting(f'hf_overrides key "{key}" would run code of the model')
            _check_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_keys(inner)
