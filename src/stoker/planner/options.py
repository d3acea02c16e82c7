"""How llama.cpp is run, as far as it decides how much memory that takes."""

from dataclasses import dataclass

from stoker.planner.spec import Offload


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How llama.cpp is run; defaults are those of its server. Lengths in tokens, sizes in bytes."""

    context: int | None = None
    """In all, shared by the slots; None for the model's trained maximum."""
    slots: int = 4
    unified: bool = True
    """One cache for all slots (llama.cpp's default when their number is left to it)."""
    batch: int = 2048
    micro_batch: int = 512
    keys: str = "f16"
    values: str = "f16"
    flash_attention: bool = True
    full_window: bool = False
    embeddings: bool = False
    prompt_cache: int = 256 * 1024 * 1024
    """Host memory the server may fill with prompts of idle slots."""
    extra_weights: int = 0
    """Projector and draft model files."""
    gpu_layers: int | None = None
    """On GPUs, as somebody wants it; None for as many as fit."""
    host_experts: int | None = None
    """Layers whose experts somebody wants in host memory; None for as few as possible."""
    devices: tuple[str, ...] = ()
    """The only ones that may be used; empty for all."""
    offload: Offload | None = None
    """What became of these wishes, once that is decided."""
