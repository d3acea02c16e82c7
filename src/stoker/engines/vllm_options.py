"""What vLLM is told that decides how much memory it takes: for its command and for the plan.

The one owner of these numbers, flags of users included, which come last and win.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

from stoker.engines.vllm_flags import override_flags, vllm_flags
from stoker.planner.spec import ModelSpec, RunSettings
from stoker.planner.vllm import WHOLE, Split

DEFAULT_CONTEXT: Final = 8192
"""Tokens on a CPU when nobody asked for more, as with llama.cpp. GPUs get the model's own."""

_UNPLANNED_CACHE: Final = 1 << 30
"""Bytes for keys and values on a CPU when nothing is known of the model's shape."""

_CONTEXT: Final = "--max-model-len"
_UTILIZATION: Final = "--gpu-memory-utilization"
_CACHE: Final = "--kv-cache-memory-bytes"
_SPLITS: Final = {
    "-tp": "tensor", "--tensor-parallel-size": "tensor",
    "-pp": "pipeline", "--pipeline-parallel-size": "pipeline",
    "-dp": "copies", "--data-parallel-size": "copies",
}  # fmt: skip
_WIDE: Final = ("float32", "float")
_AMOUNT: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([kKmMgGtT]?)")
_POWERS: Final = ("", "k", "m", "g", "t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What somebody wants of vLLM. `context` in tokens, None for as much as fits.

    `utilization`: a share of each GPU; `cache`: bytes of keys and values on each. `split`: how one
    model is divided over GPUs; `copies`: how many of it there are.
    """

    context: int | None
    utilization: float | None = None
    cache: int | None = None
    element: int = 2
    """Bytes of one number in the cache: bfloat16 unless told otherwise."""
    split: Split = WHOLE
    copies: int = 1

    @property
    def gpus(self) -> int:
        """How many are needed in all."""
        return self.split.gpus * self.copies


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """What decides how much vLLM takes beside its cache. `context` in tokens; 0 GPUs is a CPU."""

    context: int
    flags: tuple[str, ...]
    gpus: int


def ran_with(model: ModelSpec, settings: RunSettings) -> VllmOptions:
    """The options of a run, by the settings that its plan has completed. Raises InvalidSetting."""
    gpus = len(settings.offload.layers) if settings.offload else 0
    wishes = wishes_of(model, settings, on_cpu=not gpus)
    context = wishes.context or settings.context_size or 0
    return VllmOptions(context, given_flags(settings), gpus)


def given_flags(settings: RunSettings) -> tuple[str, ...]:
    """What users set, as arguments. Raises InvalidSetting."""
    return (*override_flags(settings.hf_overrides), *vllm_flags(settings.runtime_flags))


def wishes_of(model: ModelSpec, settings: RunSettings, *, on_cpu: bool) -> Wishes:
    """Raises InvalidSetting for a flag that `command` would refuse."""
    context = context_of(model, settings, on_cpu=on_cpu)
    wanted = settings.context_size
    if wanted == -1 or (not wanted and not on_cpu):
        context = None
    utilization, cache, element = settings.gpu_memory_utilization, None, 2
    counts = {"tensor": 1, "pipeline": 1, "copies": 1}
    given = given_flags(settings)
    for flag, value in pairwise([*given, ""]):
        if flag == _CONTEXT:
            context = _amount(value)
        elif flag == _UTILIZATION:
            utilization = _share(value)
        elif flag == _CACHE:
            cache = _amount(value)
        elif flag == "--dtype" and value in _WIDE and "--kv-cache-dtype" not in given:
            element = 4
        elif flag == "--kv-cache-dtype" and value.startswith("fp8"):
            element = 1
        elif flag in _SPLITS:
            counts[_SPLITS[flag]] = max(_amount(value) or 1, 1)
    return Wishes(
        context=context,
        utilization=utilization,
        cache=cache,
        element=element,
        split=Split(counts["tensor"], counts["pipeline"]),
        copies=counts["copies"],
    )


def context_of(model: ModelSpec, settings: RunSettings, *, on_cpu: bool) -> int | None:
    """Tokens of a conversation; None leaves it to vLLM, which takes what the model says."""
    wanted = settings.context_size
    if wanted and wanted > 0:
        return wanted
    if wanted == -1 or not model.context_size:
        return model.context_size
    return min(model.context_size, DEFAULT_CONTEXT) if on_cpu else model.context_size


def flagged_context(settings: RunSettings) -> int | None:
    """Tokens that overrides or flags ask for; they win over the setting of that name."""
    pairs = pairwise([*given_flags(settings), ""])
    return next((_amount(value) for flag, value in [*pairs][::-1] if flag == _CONTEXT), None)


def memory_arguments(settings: RunSettings, *, on_cpu: bool) -> list[str]:
    """How much vLLM may take. It takes nearly all there is when it is not told."""
    given = given_flags(settings)
    arguments: list[str] = []
    share = settings.gpu_memory_utilization
    if share is not None and _UTILIZATION not in given:
        arguments += [_UTILIZATION, f"{share:g}"]
    cache = settings.cache_bytes
    if cache is None and on_cpu and _UTILIZATION not in (*given, *arguments):
        cache = _UNPLANNED_CACHE
    if cache is not None and _CACHE not in given:
        arguments += [_CACHE, str(cache)]
    return arguments


def _amount(text: str) -> int | None:
    """As vLLM reads it: `8k` is 8000, `8K` 8192; None for its own choice or nonsense."""
    found = _AMOUNT.fullmatch(text)
    if not found:
        return None
    base = 1024 if found[2].isupper() else 1000
    return int(Decimal(found[1]) * base ** _POWERS.index(found[2].lower()))


def _share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
