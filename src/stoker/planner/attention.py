"""The attention of one layer, as nodes of the engine's graph (`build_attn`, `build_attn_mha`)."""

from typing import Final

from stoker.formats.facts import LatentFacts, LayerFacts, Mixer
from stoker.formats.quant import TensorType
from stoker.planner.graph import Node
from stoker.planner.parts import F16, F32, I64, Parts

# Models that know positions by other means.
_NO_ROTATION: Final = frozenset({
    "bert", "bloom", "gpt2", "jais", "jamba", "mpt", "nemotron_h", "nemotron_h_moe", "refact",
    "starcoder",
})  # fmt: skip

_TURN: Final = 64
"""Quantised keys and values of heads of a multiple of this are turned by a Hadamard matrix."""


def attention(parts: Parts, layer: LayerFacts, normed: Node) -> Node:
    """Before the output projection: `heads * value_length` elements for each row."""
    batch, heads = parts.batch, layer.heads
    fused = _fused(parts, layer, normed) if layer.fused else None
    queries = _rotated(parts, heads * layer.key_length, normed, fused)
    if _turned(parts, layer.key_length, batch.keys):
        queries = parts.new(heads * layer.key_length, queries, _key_turn(parts, layer))
    sources: tuple[Node, ...] = (queries,)
    if parts.facts.has_cache:
        _store(parts, layer, normed, fused)
    elif fused is not None:
        sources = (queries, fused, fused)
    else:
        keys = parts.new(heads * layer.key_length, normed)
        sources = (queries, keys, parts.new(heads * layer.value_length, normed))
    out = _attend(parts, layer, sources, heads * layer.value_length)
    if _turned(parts, layer.value_length, batch.values):
        out = parts.new(heads * layer.value_length, out, _value_turn(parts, layer))
    return out


def latent_attention(parts: Parts, layer: LayerFacts, latent: LatentFacts, normed: Node) -> Node:
    """Attention over compressed keys (MLA), with the absorbed projections llama.cpp uses."""
    heads, both = layer.heads, latent.rank + latent.rope
    source = parts.new(latent.query_rank, normed) if latent.query_rank else normed
    queries = parts.new(heads * (latent.nope + latent.rope), source)
    absorbed = parts.new(heads * latent.rank, queries)
    rotated = parts.new(heads * latent.rope, queries, parts.positions())
    queries = parts.new(heads * both, absorbed, rotated)
    compressed = parts.new(both, normed)
    values = parts.new(latent.rank, compressed)
    keys = parts.new(both, values, parts.new(latent.rope, compressed, parts.positions()))
    parts.graph.store(keys, parts.input("key places", I64 * parts.batch.tokens))
    out = _attend(parts, layer, (queries,), heads * latent.rank)
    out = parts.new(heads * latent.value, out)
    return parts.new(heads * latent.value, out)


def _fused(parts: Parts, layer: LayerFacts, normed: Node) -> Node:
    queries = layer.heads * layer.key_length
    if parts.facts.has_cache:
        return parts.new(queries + layer.keys_width + layer.values_width, normed)
    return parts.new(2 * queries + layer.heads * layer.value_length, normed)


def _rotated(parts: Parts, length: int, normed: Node, fused: Node | None) -> Node:
    """A projection and its rotary embedding, which is not made in place: it reads a view."""
    projected = parts.new(length, normed) if fused is None else fused
    if parts.facts.architecture in _NO_ROTATION:
        return projected
    return parts.new(length, projected, parts.positions())


def _turned(parts: Parts, length: int, kind: TensorType) -> bool:
    return parts.facts.has_cache and kind.block > 1 and length > 0 and length % _TURN == 0


def _key_turn(parts: Parts, layer: LayerFacts) -> Node:
    side = _TURN
    while layer.key_length % (2 * side) == 0:
        side *= 2
    return parts.input("turn of keys" + _suffix(layer), F32 * side * side)


def _value_turn(parts: Parts, layer: LayerFacts) -> Node:
    return parts.input("turn of values" + _suffix(layer), F32 * _TURN * _TURN)


def _store(parts: Parts, layer: LayerFacts, normed: Node, fused: Node | None) -> None:
    """New keys and values go into the cache."""
    batch, suffix = parts.batch, _suffix(layer)
    values = parts.new(layer.values_width, normed) if fused is None else fused
    if _turned(parts, layer.value_length, batch.values):
        values = parts.new(layer.values_width, values, _value_turn(parts, layer))
    keys = _rotated(parts, layer.keys_width, normed, fused)
    if _turned(parts, layer.key_length, batch.keys):
        keys = parts.new(layer.keys_width, keys, _key_turn(parts, layer))
    # Without flash attention values are stored transposed: one index for each element.
    width = 1
    if not batch.flash_attention:
        width = max(other.values_width for other in parts.facts.layers)
    parts.graph.store(keys, parts.input("key places" + suffix, I64 * batch.tokens))
    parts.graph.store(values, parts.input("value places" + suffix, I64 * batch.tokens * width))


def _suffix(layer: LayerFacts) -> str:
    return " of the window" if layer.sliding else ""


def _attend(parts: Parts, layer: LayerFacts, sources: tuple[Node, ...], length: int) -> Node:
    batch, graph = parts.batch, parts.graph
    cells = batch.window_cells if layer.sliding else batch.cells
    if not parts.facts.has_cache:
        cells = batch.tokens
    element = F16 if batch.flash_attention else F32
    mask = parts.input("mask" + _suffix(layer), element * cells * batch.tokens)
    queries, *others = sources
    if batch.flash_attention:
        # Keys and values that come from no cache are cast first.
        size = F16 * parts.rows * layer.heads * layer.key_length
        out = parts.new(length, queries, *(graph.compute(size, node) for node in others), mask)
        graph.settle()
        return out
    scores = parts.new(cells * layer.heads, queries, *others[:1])
    scores = parts.new(cells * layer.heads, scores, mask, reuse=(scores,))
    extra = others[1:]
    if layer.mixer is Mixer.LATENT:
        # Compressed values lie in the cache as keys do, and are transposed for this product.
        extra = [graph.compute(batch.keys.row_bytes(length // layer.heads) * cells)]
    out = parts.new(length, parts.new(length, scores, *extra))
    graph.settle()
    return out
