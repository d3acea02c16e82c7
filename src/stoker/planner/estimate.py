"""How many bytes a model needs when llama.cpp runs it, part by part.

Weights, caches and the output buffer follow the engine's own arithmetic to the byte; the compute
buffer follows its allocator (`graph`). docs/memory.md has the formulas and what was measured.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from stoker.formats.facts import LayerFacts, Mixer, ModelFacts
from stoker.planner.cache import Cells, cache_bytes, cache_type, cells_of, micro_batch
from stoker.planner.compute import compute_bytes
from stoker.planner.options import Options
from stoker.planner.parts import F32, Batch

_SIDE_BY_SIDE: Final = frozenset({"command-r", "falcon", "phi2", "plamo"})
"""Attention and feed-forward part read the same input: up to one width more lives at once."""

PROCESS_BYTES: Final = 64 * 1024 * 1024
"""Resident bytes of an engine process beside all that is counted: measured 39 MB with a tiny model,
and work space of the CPU kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBytes:
    """One layer; the last entry of an Estimate is the output head."""

    weights: int
    experts: int
    cache: int
    copied: int = 0
    """What it takes on a GPU besides, though the host keeps it too: an embedding used as head."""
    largest: int = 0
    """Its largest tensor."""

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
    """When everything runs on the CPU."""
    gpu_compute: int
    """Of a GPU that has all layers."""
    fed_compute: int
    """Of the host beside GPUs: inputs, and what it makes of them."""
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


def estimate_llamacpp(facts: ModelFacts, options: Options | None = None) -> Estimate:
    """What `facts` needs under `options`. Raises InvalidSetting for an unknown cache type."""
    chosen = options or Options()
    cells = cells_of(facts, chosen)
    layers = tuple(
        LayerBytes(
            weights=layer.weights,
            experts=layer.experts,
            largest=layer.largest,
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
    compute = compute_bytes(facts, _batch(facts, chosen, cells))
    return Estimate(
        layers=(*layers, head),
        input_weights=facts.input_weights + facts.other_weights,
        compute=compute.alone,
        gpu_compute=compute.gpu,
        fed_compute=compute.host,
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


def _batch(facts: ModelFacts, options: Options, cells: Cells) -> Batch:
    tokens = min(cells.context, micro_batch(facts, options))
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


def _output_bytes(facts: ModelFacts, options: Options) -> int:
    rows = facts.vocabulary + (facts.embedding_length if options.embeddings else 0)
    return F32 * rows * options.slots
