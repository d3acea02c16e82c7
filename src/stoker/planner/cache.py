"""The cache of a model: keys, values and recurrent states, and how a context becomes cells."""

from dataclasses import dataclass
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.formats.facts import LayerFacts, ModelFacts
from stoker.formats.quant import TYPE_BY_NAME, TensorType
from stoker.planner.options import Options
from stoker.planner.parts import F32

_PAD: Final = 256
"""Cells; llama.cpp rounds every context up to this."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How llama.cpp divides a context. In tokens."""

    context: int
    per_stream: int
    window: int
    streams: int


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
    window = facts.sliding_window * sharing + micro_batch(facts, options)
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


def _wanted(facts: ModelFacts, options: Options) -> int:
    return options.context or facts.context_size or _PAD


def micro_batch(facts: ModelFacts, options: Options) -> int:
    # Before the context is rounded up, as in the engine.
    batch = min(_wanted(facts, options), options.batch) if facts.causal else options.batch
    return min(batch, options.micro_batch)


def _padded(count: int) -> int:
    return -(-count // _PAD) * _PAD
