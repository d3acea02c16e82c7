"""How much of a GPU vLLM is given.

vLLM takes a share of the GPU's total memory when it starts (`--gpu-memory-utilization`), puts the
weights and the activations of one batch into it and fills the rest with keys and values. So the
share is chosen so that the rest holds what is wanted, and checked against what is free first.
"""

from dataclasses import dataclass
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.base.units import binary_size
from stoker.formats.facts import LayerFacts, ModelFacts
from stoker.planner.devices import Device

WEIGHTS_FACTOR: Final = 1.2
"""Weights as loaded, padded and repacked, to those of the files; GPUStack plans with the same."""
OVERHEAD: Final = 2 * 1024 * 1024 * 1024
"""Bytes for activations of one batch and CUDA graphs (1-3 GiB)."""
MAX_UTILIZATION: Final = 0.92
"""vLLM's own default."""
DTYPE_BYTES: Final = 2
"""Of one element of the cache: float16 or bfloat16 unless told otherwise."""
_BLOCK: Final = 16
"""Tokens vLLM allocates at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmPlan:
    """Sizes in bytes, of one GPU of `gpus`; `context` in tokens."""

    utilization: float
    context: int
    weights: int
    cache: int
    total: int


def cache_per_token(facts: ModelFacts) -> int:
    """Bytes of keys and values of one token in all layers, on all GPUs together."""
    return sum(_row(layer) for layer in facts.layers) * DTYPE_BYTES


def plan_vllm(
    facts: ModelFacts, device: Device, *, context: int | None = None, requests: int = 1,
    gpus: int = 1,
) -> VllmPlan:  # fmt: skip
    """Room for `requests` conversations of full length. Raises DoesNotFit."""
    tokens = context or facts.context_size or 4096
    weights = int(facts.weights_size * WEIGHTS_FACTOR) // gpus
    blocks = -(-tokens // _BLOCK)
    cache = blocks * _BLOCK * requests * cache_per_token(facts) // gpus
    need = weights + cache + OVERHEAD
    limit = min(int(device.total * MAX_UTILIZATION), device.free)
    if need > limit:
        room = limit - weights - OVERHEAD
        per_token = max(cache_per_token(facts) * requests // gpus, 1)
        fitting = max(room // per_token // _BLOCK * _BLOCK, 0)
        raise DoesNotFit(
            f"vLLM needs {binary_size(need)} of {device.id}, where {binary_size(limit)} can be"
            f" used: {binary_size(need - limit)} are missing",
            hint=f"it would fit with --context-size {fitting}"
            if fitting
            else "take a smaller or quantized version of the model",
        )
    return VllmPlan(
        utilization=min(-(-need * 100 // device.total) / 100, MAX_UTILIZATION),
        context=tokens,
        weights=weights,
        cache=cache,
        total=need,
    )


def _row(layer: LayerFacts) -> int:
    return layer.keys_width + layer.values_width
