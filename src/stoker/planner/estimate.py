"""How many bytes a model needs when llama.cpp runs it, part by part.

Weights, caches and the output buffer follow the engine's own arithmetic to the byte; the compute
buffer follows its allocator (`graph`). docs/memory.md has the formulas and what was measured.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.formats.facts import LayerFacts, Mixer, ModelFacts
from stoker.formats.quant import TYPE_BY_NAME, TensorType
from stoker.planner.compute import compute_bytes
from stoker.planner.parts import F32, Batch
from stoker.planner.spec import Offload

_PAD: Final = 256
"""Cells; llama.cpp rounds every context up to this."""

_SIDE_BY_SIDE: Final = frozenset({"command-r", "falcon", "phi2", "plamo"})
"""Attention and feed-forward part read the same input: up to one width more lives at once."""

PROCESS_BYTES: Final = 64 * 1024 * 1024
"""Resident bytes of an engine process beside all that is counted: measured 39 MB with a tiny model,
and work space of the CPU kernels."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBytes:
    """One layer; the last entry of an Estimate is the output head."""

    weights: int
    experts: int
    cache: int
    copied: int = 0
    """What it takes on a GPU besides, though the host keeps it too: an embedding used as head."""

    @property
    def total(self) -> int:
        """Bytes the layer takes of the host when it stays there."""
        return self.weights + self.cache

    @property
    def on_gpu(self) -> int:
        """Bytes the layer takes of a GPU."""
        return self.weights + self.cache + self.copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """All sizes in bytes; `context` and `cells` in tokens."""

    layers: tuple[LayerBytes, ...]
    input_weights: int
    """Stay in host memory whatever is offloaded."""
    compute: int
    """Of a device that holds everything; a device that holds a part needs no more."""
    output: int
    prompt_cache: int
    extra_weights: int
    context: int
    cells: int
    """Of one stream."""
    streams: int
    exact: bool
    """False for models whose cache or graph this version only approximates."""

    @property
    def weights(self) -> int:
        """Of all layers, the input and the output."""
        return self.input_weights + sum(layer.weights for layer in self.layers)

    @property
    def cache(self) -> int:
        """Keys, values and recurrent states of all layers."""
        return sum(layer.cache for layer in self.layers)

    @property
    def total_host_bytes(self) -> int:
        """When everything runs on the CPU. The prompt cache is counted: it fills with use."""
        return (
            self.weights
            + self.cache
            + self.compute
            + self.output
            + self.prompt_cache
            + self.extra_weights
            + PROCESS_BYTES
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """How llama.cpp divides a context. In tokens."""

    context: int
    per_stream: int
    window: int
    streams: int


def estimate_llamacpp(facts: ModelFacts, options: Options | None = None) -> Estimate:
    """What `facts` needs under `options`. Raises InvalidSetting for an unknown cache type."""
    chosen = options or Options()
    cells = cells_of(facts, chosen)
    layers = tuple(
        LayerBytes(
            weights=layer.weights,
            experts=layer.experts,
            cache=cache_bytes(facts, layer, cells, chosen),
        )
        for layer in facts.layers
    )
    head = LayerBytes(
        weights=facts.output_weights,
        experts=0,
        cache=0,
        copied=facts.head_weights if facts.tied else 0,
    )
    batch = _batch(facts, chosen, cells)
    return Estimate(
        layers=(*layers, head),
        input_weights=facts.input_weights + facts.other_weights,
        compute=compute_bytes(facts, batch),
        output=_output_bytes(facts, chosen),
        prompt_cache=chosen.prompt_cache,
        extra_weights=chosen.extra_weights,
        context=cells.context,
        cells=cells.per_stream,
        streams=cells.streams,
        exact=facts.cache_known
        and facts.architecture not in _SIDE_BY_SIDE
        and all(map(partial(_modelled, facts), facts.layers)),
    )


def _modelled(facts: ModelFacts, layer: LayerFacts) -> bool:
    """Whether the graph of this layer is followed, and not guessed."""
    match layer.mixer:
        case Mixer.ATTENTION | Mixer.CONVOLUTION:
            return True
        case Mixer.LATENT:
            return facts.latent is not None
        case Mixer.MAMBA | Mixer.MAMBA2 | Mixer.PARALLEL:
            return facts.recurrent is not None
        case Mixer.NONE:
            return not layer.weights
        case Mixer.OTHER:
            return False


def cache_type(name: str) -> TensorType:
    """A cache type by llama.cpp's name. Raises InvalidSetting."""
    found = TYPE_BY_NAME.get(name.lower())
    if found is None:
        raise InvalidSetting(f"unknown cache type {name!r}", hint="f16, q8_0, q4_0, ...")
    return found


def cells_of(facts: ModelFacts, options: Options) -> Cells:
    """Rounded as `llama_context` rounds, per slot when every slot has its own stream."""
    context = _padded(_wanted(facts, options))
    streams = 1 if options.unified else options.slots
    per_stream = context if options.unified else _padded(max(context // options.slots, 1))
    sharing = options.slots if options.unified else 1
    window = facts.sliding_window * sharing + _micro_batch(facts, options)
    window = _padded(min(per_stream, window))
    if options.full_window or not facts.sliding_window:
        window = per_stream
    return Cells(per_stream * streams, per_stream, window, streams)


def cache_bytes(facts: ModelFacts, layer: LayerFacts, cells: Cells, options: Options) -> int:
    """Of one layer: keys and values of all cells, recurrent states of all slots."""
    keys, values = cache_type(options.keys), cache_type(options.values)
    count = cells.streams * (cells.window if layer.sliding else cells.per_stream)
    width = layer.values_width
    if not options.flash_attention and width:
        # Transposed values must have one width for all layers.
        width = max(other.values_width for other in facts.layers)
    row = _row(keys, layer.keys_width) + _row(values, width) + _row(keys, layer.index_length)
    return count * row + F32 * layer.state * options.slots


def _row(kind: TensorType, elements: int) -> int:
    # A width that is no multiple of the block is refused by the engine; rounded up here.
    return -(-elements // kind.block) * kind.size


def _batch(facts: ModelFacts, options: Options, cells: Cells) -> Batch:
    tokens = min(cells.context, _micro_batch(facts, options))
    tokens = -(-tokens // options.slots) * options.slots
    outputs = options.batch if options.embeddings else options.slots
    return Batch(
        tokens=tokens,
        sequences=options.slots,
        cells=cells.per_stream,
        window_cells=cells.window,
        outputs=min(outputs, tokens),
        flash_attention=options.flash_attention,
        keys=cache_type(options.keys),
        values=cache_type(options.values),
    )


def _wanted(facts: ModelFacts, options: Options) -> int:
    return options.context or facts.context_size or _PAD


def _micro_batch(facts: ModelFacts, options: Options) -> int:
    # Before the context is rounded up, as in the engine.
    batch = min(_wanted(facts, options), options.batch) if facts.causal else options.batch
    return min(batch, options.micro_batch)


def _output_bytes(facts: ModelFacts, options: Options) -> int:
    rows = facts.vocabulary + (facts.embedding_length if options.embeddings else 0)
    return F32 * rows * options.slots


def _padded(count: int) -> int:
    return -(-count // _PAD) * _PAD
