"""What is remembered of vLLM: what it took beside its cache, which is as large as it was told."""

from typing import Final

from stoker.engines.measured import BufferLog
from stoker.engines.vllm_options import wishes_of
from stoker.library.measured import Sizes
from stoker.planner.devices import HOST
from stoker.planner.spec import ModelSpec, RunSettings
from stoker.planner.vllm import UNMEASURED, Beside

_EACH: Final = "each GPU"
"""Stands for every GPU that a model is divided over: all hold as much."""


def vllm_sizes(model: ModelSpec, settings: RunSettings, log: BufferLog) -> Sizes:
    """What a run took; empty while nothing is known. Raises InvalidSetting."""
    if settings.offload and settings.offload.layers:
        sizes = {_EACH: log.worker, HOST: {"processes": log.resident}}
        return {device: dict(kinds) for device, kinds in sizes.items() if any(kinds.values())}
    cache = settings.cache_bytes or wishes_of(model, settings, on_cpu=True).cache
    processes = log.resident - model.weights_size - (cache or 0)
    return {HOST: {"processes": processes}} if cache and processes > 0 else {}


def beside_of(sizes: Sizes | None) -> Beside:
    """The same for a plan."""
    if not sizes:
        return UNMEASURED
    return Beside(
        weights=sizes.get(_EACH, {}).get("weights"),
        processes=sizes.get(HOST, {}).get("processes"),
    )
