"""What a model runs with, value by value, and who decided each. Pure.

Origins: `request` (it caused the load), `configure`, `model` (what its artifact says), `plan` (what
fits this machine), `default`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.engines.llamacpp_options import (
    ALL_CONTEXT,
    DEFAULT_CONTEXT,
    options_of,
    set_by_flags,
)
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.vllm import NAME as VLLM
from stoker.engines.vllm_options import flagged_context
from stoker.planner.spec import DEFAULT_KEEP_ALIVE, FOREVER, Mode, ModelSpec, RunSettings
from stoker.wire.config import Effective

_FIELDS: Final = {
    "slots": "parallel",
    "unified": "kv-unified",
    "batch": "batch-size",
    "micro_batch": "ubatch-size",
    "keys": "cache-type-k",
    "values": "cache-type-v",
    "flash_attention": "flash-attn",
    "full_window": "swa-full",
    "prompt_cache": "cache-ram",
}
"""Fields of Options, and what llama.cpp calls them."""


def effective(
    engine: str, model: ModelSpec, mode: Mode, configured: RunSettings, run: RunSettings
) -> dict[str, Effective]:
    """Setting to value and origin. `run` is what a runner has or would be given.

    Tokens for the context, bytes for `cache-ram`, seconds for `keep-alive` (null is for ever).
    """
    found = {
        "context-size": _context(engine, model, configured, run),
        "keep-alive": _keep_alive(configured),
    }
    if engine == LLAMACPP:
        found |= _llamacpp(model, mode, configured, run)
    elif configured.gpu_memory_utilization is not None:
        share = configured.gpu_memory_utilization
        found["gpu-memory-utilization"] = Effective(share, "configure")
    if configured.reasoning_budget is not None:
        found["reasoning-budget"] = Effective(configured.reasoning_budget, "configure")
    if configured.hf_overrides:
        found["hf-overrides"] = Effective(dict(configured.hf_overrides), "configure")
    if configured.runtime_flags:
        found["runtime-flags"] = Effective([*configured.runtime_flags], "configure")
    if model.trusted:
        found["trust-remote-code"] = Effective(model.id, "configure")
    elif model.code:
        found["trust-remote-code"] = Effective(False, "default")
    found |= {name: Effective(value, "model") for name, value in _files(model)}
    return found


def disagreements(said: Mapping[str, Any], settings: Mapping[str, Effective]) -> list[str]:
    """What a running engine says against what it was to run with; empty: it is all as shown."""
    found = []
    for name in said.keys() & settings.keys():
        wanted = settings[name].value
        # llama.cpp rounds the context up, to a multiple of 256 for each slot.
        slack = (
            256 * settings["parallel"].value if name == "context-size" and "parallel" in said else 0
        )
        if wanted is not None and not wanted <= said[name] <= wanted + slack:
            found.append(f"{name} is {said[name]}, not {wanted}")
    return sorted(found)


def _context(engine: str, model: ModelSpec, configured: RunSettings, run: RunSettings) -> Effective:
    if engine == LLAMACPP and "context" in set_by_flags(configured):
        return Effective(options_of(model, Mode.COMPLETION, run).context, "configure")
    if engine == VLLM and (told := flagged_context(configured)):
        return Effective(told, "configure")
    wanted, ours = run.context_size, configured.context_size
    if ours == ALL_CONTEXT:
        return Effective(wanted if wanted != ours else model.context_size, "configure")
    if wanted and wanted != ours:
        # vLLM's plan settles what nobody chose; llama.cpp's context was chosen by then.
        return Effective(wanted, "request" if ours or engine == LLAMACPP else "plan")
    if ours:
        return Effective(ours, "configure")
    if model.context_size and model.context_size <= DEFAULT_CONTEXT:
        return Effective(model.context_size, "model")
    # vLLM takes all that the model can do where it has a GPU.
    return Effective(DEFAULT_CONTEXT if engine == LLAMACPP else None, "default")


def _keep_alive(configured: RunSettings) -> Effective:
    if configured.keep_alive is None:
        return Effective(DEFAULT_KEEP_ALIVE, "default")
    forever = configured.keep_alive == FOREVER
    return Effective(None if forever else configured.keep_alive, "configure")


def _llamacpp(
    model: ModelSpec, mode: Mode, configured: RunSettings, run: RunSettings
) -> dict[str, Effective]:
    options = options_of(model, mode, run)
    given = set_by_flags(configured)
    found = {
        name: Effective(getattr(options, field), "configure" if field in given else "default")
        for field, name in _FIELDS.items()
    }
    if run.offload is not None:
        placed = dict(run.offload.layers)
        origin = "configure" if "gpu_layers" in given else "plan"
        found["gpu-layers"] = Effective(run.offload.count, origin)
        found["devices"] = Effective(placed, "plan")
        if run.offload.host_experts:
            found["cpu-moe-layers"] = Effective(run.offload.host_experts, "plan")
    elif options.gpu_layers is not None:
        found["gpu-layers"] = Effective(options.gpu_layers, "configure")
    return found


def _files(model: ModelSpec) -> Iterator[tuple[str, str]]:
    if model.chat_template:
        yield "chat-template", model.chat_template.name
    if model.mmproj:
        yield "mmproj", model.mmproj.name
