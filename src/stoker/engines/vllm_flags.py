"""What users may set for vLLM: raw flags, and the overrides that Docker Model Runner documents.

Which flags those are is in `vllm_flag_table`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from stoker.base.errors import InvalidSetting
from stoker.engines.flag_check import Language, checked
from stoker.engines.flag_table import recorded

TABLE: Final = recorded("vllm_flags.txt")
"""Every name of every flag that is allowed."""

FLAG_KEYS: Final = {
    "max_model_len": "--max-model-len",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "tensor_parallel_size": "--tensor-parallel-size",
}
"""Documented by Docker as keys of `--hf_overrides`; vLLM itself knows them only as flags."""

_KEY: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
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

_LANGUAGE: Final = Language(
    "vllm",
    TABLE,
    lambda flag: _HINTS.get(flag, _NOT_OURS),
    {
        # What `configure --parallel` becomes; one cache for all is always so with vLLM.
        "--parallel": ("--max-num-seqs",),
        "--kv-unified": (),
        # Two names for one thing; whoever reads the arguments need know only this one.
        "--device-memory-utilization": ("--gpu-memory-utilization",),
    },
)


def vllm_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """The arguments for these flags, checked: see `flag_check`. Raises InvalidSetting."""
    return checked(flags, _LANGUAGE)


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
