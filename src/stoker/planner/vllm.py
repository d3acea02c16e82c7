"""How much memory vLLM is given. Pure.

vLLM takes a share of a GPU's total memory when it starts (`--gpu-memory-utilization`), puts the
weights and the activations of one batch into it and fills the rest with keys and values. So the
share is chosen so that the rest holds what is wanted, and checked against what is free first. On a
CPU the cache alone is told (`--kv-cache-memory-bytes`), and the rest comes on top of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.base.units import binary_size
from stoker.formats.facts import LayerFacts, ModelFacts
from stoker.planner.devices import Device
from stoker.planner.fit import MIN_CONTEXT
from stoker.planner.room import usable

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

_LESS_CACHE: Final = "lower or leave out --gpu-memory-utilization and --kv-cache-memory-bytes"

REQUESTS: Final = 4
"""Conversations of full length that the cache has room for; of shorter ones more."""
_MIB: Final = 1024 * 1024
CPU_CACHE_MIN: Final = 256 * _MIB
CPU_PROCESSES: Final = 1536 * _MIB
"""Bytes of its three processes on a CPU, without weights and cache: 1.5 GB were measured."""
GPU_PROCESSES: Final = 3072 * _MIB
"""Bytes of host memory beside a GPU: CUDA's libraries in each process. Not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmPlan:
    """Sizes in bytes, of one GPU of `gpus`, or of the host on a CPU; `context` in tokens.

    `utilization` is 0 on a CPU.
    """

    utilization: float
    context: int
    weights: int
    cache: int
    total: int


@dataclass(frozen=True, slots=True)
class Split:
    """How one model is divided: each layer over `tensor` GPUs, all layers into `pipeline` parts."""

    tensor: int = 1
    pipeline: int = 1

    @property
    def gpus(self) -> int:
        """How many together hold the model once."""
        return self.tensor * self.pipeline


WHOLE: Final = Split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What it takes beside its cache, where that was measured; bytes, None for a rule of thumb.

    `weights`: as loaded, on each GPU. `processes`: of the host, on a CPU without weights and cache.
    """

    weights: int | None = None
    processes: int | None = None

    def loaded(self, facts: ModelFacts, gpus: int) -> int:
        """Bytes of weights on each of the GPUs that share them."""
        if self.weights is not None:
            return self.weights
        return int(facts.weights_size * WEIGHTS_FACTOR) // gpus

    def host(self, *, on_cpu: bool) -> int:
        """Bytes of host memory that its processes take."""
        if self.processes is not None:
            return self.processes
        return CPU_PROCESSES if on_cpu else GPU_PROCESSES


UNMEASURED: Final = Beside()


def cache_per_token(facts: ModelFacts, element: int = DTYPE_BYTES, *, split: Split = WHOLE) -> int:
    """Bytes of keys and values of one token, on the GPU of those sharing a model that has most."""
    if not facts.causal:
        return 0  # an encoder sees all tokens at once
    rows = sorted((_row(layer, split.tensor) for layer in facts.layers), reverse=True)
    return sum(rows[: -(-len(rows) // split.pipeline)]) * element


def cache_for(
    facts: ModelFacts, tokens: int, requests: int, element: int = DTYPE_BYTES, *,
    split: Split = WHOLE,
) -> int:  # fmt: skip
    """Bytes on each GPU for so many conversations of so many tokens, in vLLM's blocks."""
    return -(-tokens // _BLOCK) * _BLOCK * requests * cache_per_token(facts, element, split=split)


def conversations(
    facts: ModelFacts, tokens: int, cache: int, *, split: Split = WHOLE, element: int = DTYPE_BYTES
) -> int:
    """How many of so many tokens a cache has room for, of so many bytes on each GPU.

    1 at least, for none that is smaller is planned; 0 of an encoder, which keeps none.
    """
    whole = cache_for(facts, tokens, 1, element, split=split)
    return max(cache // whole, 1) if whole else 0


def plan_vllm(
    facts: ModelFacts, device: Device, *, context: int | None = None, requests: int = 1,
    split: Split = WHOLE, element: int = DTYPE_BYTES, cache: int | None = None,
    beside: Beside = UNMEASURED,
) -> VllmPlan:  # fmt: skip
    """Room for `requests` conversations of full length, or for `cache` bytes on each GPU.

    Raises DoesNotFit.
    """
    tokens = context or facts.context_size or MIN_CONTEXT
    weights = beside.loaded(facts, split.gpus)
    told = cache is not None
    if cache is None:
        cache = cache_for(facts, tokens, requests, element, split=split)
    need = weights + cache + OVERHEAD
    # The share is rounded up, and CUDA itself takes some before vLLM looks at what is free.
    limit = min(int(device.total * MAX_UTILIZATION), usable(device))
    if need > limit and told:
        raise _refusal(need, limit, device.id, _LESS_CACHE)
    if need > limit:
        per_token = max(cache_per_token(facts, element, split=split) * requests, 1)
        fitting = (limit - weights - OVERHEAD) // per_token
        raise _refusal(need, limit, device.id, _advice(fitting))
    return VllmPlan(
        utilization=min(-(-need * 100 // device.total) / 100, MAX_UTILIZATION),
        context=tokens,
        weights=weights,
        cache=cache,
        total=need,
    )


def plan_vllm_on_cpu(
    facts: ModelFacts, free: int, *, context: int | None = None, requests: int = 1,
    element: int = DTYPE_BYTES, cache: int | None = None, beside: Beside = UNMEASURED,
) -> VllmPlan:  # fmt: skip
    """The same in `free` bytes of host memory. Raises DoesNotFit."""
    tokens = context or facts.context_size or MIN_CONTEXT
    told = cache is not None
    processes = beside.host(on_cpu=True)
    if cache is None:
        cache = -(-cache_for(facts, tokens, requests, element) // _MIB) * _MIB
        cache = max(cache, CPU_CACHE_MIN)
    need = facts.weights_size + cache + processes
    if need > free and told:
        raise _refusal(need, free, "the host", _LESS_CACHE)
    if need > free:
        per_token = max(cache_per_token(facts, element) * requests, 1)
        room = (free - facts.weights_size - processes) // _MIB * _MIB
        fitting = room // per_token if room >= CPU_CACHE_MIN else 0
        raise _refusal(need, free, "the host", _advice(fitting))
    return VllmPlan(
        utilization=0.0,
        context=tokens,
        weights=facts.weights_size,
        cache=cache,
        total=need,
    )


def widest(
    facts: ModelFacts, context: int | None, plan: Callable[[int, int], VllmPlan]
) -> Iterator[VllmPlan]:
    """The longest context that `plan` has room for, for the most conversations first.

    `context` is the one asked for; None for the model's own, halved down to MIN_CONTEXT where that
    does not fit. Raises the DoesNotFit of the shortest one.
    """
    tokens = context or facts.context_size or MIN_CONTEXT
    while True:
        found = list(_fitting(tokens, plan))
        if found:
            yield from found
            return
        if context or tokens <= MIN_CONTEXT:
            plan(tokens, 1)  # raises
            return
        tokens = max(tokens // 2, MIN_CONTEXT)


def _fitting(tokens: int, plan: Callable[[int, int], VllmPlan]) -> Iterator[VllmPlan]:
    for requests in (REQUESTS, 1):
        try:
            yield plan(tokens, requests)
        except DoesNotFit:
            continue


def _advice(tokens: int) -> str:
    fitting = tokens // _BLOCK * _BLOCK
    if fitting > 0:
        return f"it would fit with --context-size {fitting}"
    return "take a smaller or quantized version of the model"


def _refusal(need: int, limit: int, where: str, advice: str) -> DoesNotFit:
    return DoesNotFit(
        f"vLLM needs {binary_size(need)} of {where}, where {binary_size(max(limit, 0))} can be"
        f" used: {binary_size(need - limit)} are missing",
        hint=advice,
    )


def _row(layer: LayerFacts, tensor: int) -> int:
    # Heads are dealt out, not cut: with fewer of them than GPUs, and with latent attention (MLA),
    # each GPU keeps one whole.
    return -(-layer.kv_heads // tensor) * (layer.key_length + layer.value_length)
