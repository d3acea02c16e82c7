"""The engine's graph of one full batch, as far as memory goes: which tensors live, and when.

Follows `llama-graph.cpp` and `models/*.cpp` of llama.cpp build b11549 on one device. Only what is
allocated is here: weights, caches and views are not.
"""

from typing import Final

from stoker.formats.facts import Gate, LayerFacts, Mixer, ModelFacts
from stoker.planner.attention import attention, latent_attention
from stoker.planner.graph import Node, Peaks
from stoker.planner.parts import F32, I32, I64, Batch, Parts
from stoker.planner.recurrent import convolution, mamba, mamba2, unknown_mixer

# For all others the engine also reserves a batch that mixes tokens and raw vectors.
_NO_MIXED_INPUT: Final = frozenset(
    {"cogvlm", "deepseek4", "granite-switch", "eagle3", "dflash", "gemma4-assistant"}
)

_RESHAPED: Final = frozenset({Mixer.MAMBA, Mixer.CONVOLUTION})


def compute_bytes(facts: ModelFacts, batch: Batch) -> Peaks:
    """Bytes of the compute buffers."""
    parts = Parts(facts, batch)
    residual = _embedded(parts)
    trunk = [layer for layer in facts.layers if layer.weights or layer.mixer is not Mixer.NONE]
    for number, layer in enumerate(trunk):
        residual = _layer(parts, layer, residual, last=number == len(trunk) - 1)
    parts.new(facts.vocabulary, parts.norm(residual))
    return parts.graph.peaks()


def _embedded(parts: Parts) -> Node:
    """Tokens, raw vectors and a mix of both: the two not used are reserved all the same."""
    graph, count, vectors = parts.graph, parts.batch.tokens, F32 * parts.width * parts.batch.tokens
    graph.at_host = True  # rows are fetched where the embedding's weights are
    found = parts.new(parts.width, graph.input(I32 * count))
    if parts.facts.architecture in _NO_MIXED_INPUT:
        graph.input(vectors)
        graph.at_host = False
        return found
    mixed = parts.new(parts.width, graph.input(I32 * count))
    graph.at_host = False
    graph.input(vectors)
    places = graph.input(I64 * count)
    parts.new(parts.width, graph.input(vectors))
    graph.store(mixed, places)
    return found


def _layer(parts: Parts, layer: LayerFacts, residual: Node, *, last: bool) -> Node:
    mixed = _mixed(parts, layer, residual)
    reshaped = layer.mixer in _RESHAPED
    if last:
        chosen = parts.input("outputs", I32 * parts.batch.outputs)
        parts.rows = parts.batch.outputs
        mixed = parts.new(parts.width, mixed, chosen)
        residual = parts.new(parts.width, residual, chosen)
        reshaped = False
    residual = _sum(parts, mixed, residual, reshaped=reshaped)
    if not layer.feed_forward and not layer.expert_length:
        return residual
    normed = parts.norm(residual)
    if layer.expert_length:
        return _sum(parts, _experts(parts, layer, normed), residual)
    fed = _feed_forward(parts, layer.feed_forward, normed, layer.gate)
    return _sum(parts, fed, residual)


def _sum(parts: Parts, result: Node, residual: Node, *, reshaped: bool = False) -> Node:
    """Takes the place of one of the two; not of a reshaped result, which is a view."""
    first = (residual, result) if parts.facts.residual_first else (result, residual)
    return parts.new(parts.width, result, residual, reuse=(residual,) if reshaped else first)


def _mixed(parts: Parts, layer: LayerFacts, residual: Node) -> Node:
    """The layer's mixer and its output projection."""
    facts, width = parts.facts, parts.width
    match layer.mixer, facts.recurrent, facts.latent:
        case Mixer.ATTENTION, _, _:
            return parts.new(width, attention(parts, layer, parts.norm(residual)))
        case Mixer.LATENT, _, latent if latent is not None:
            return parts.new(width, latent_attention(parts, layer, latent, parts.norm(residual)))
        case Mixer.MAMBA, ssm, _ if ssm is not None:
            return parts.new(width, mamba(parts, layer, ssm, residual))
        case Mixer.MAMBA2, ssm, _ if ssm is not None:
            return parts.new(width, mamba2(parts, layer, ssm, residual))
        case Mixer.PARALLEL, ssm, _ if ssm is not None:
            attended = attention(parts, layer, parts.norm(residual))
            scanned = parts.new(width, mamba2(parts, layer, ssm, residual))
            mixed = parts.new(width, attended)
            return parts.new(width, mixed, scanned, reuse=(mixed,))
        case Mixer.CONVOLUTION, _, _:
            return parts.new(width, convolution(parts, layer, residual))
        case _:
            return parts.new(width, unknown_mixer(parts, layer, parts.norm(residual)))


def _feed_forward(parts: Parts, length: int, normed: Node, gate: Gate) -> Node:
    if gate is Gate.FUSED:
        active = parts.new(length, parts.new(2 * length, normed))
    elif gate is Gate.APART:
        first = parts.new(length, normed)
        active = parts.new(length, first, parts.new(length, normed))
    else:
        up = parts.new(length, normed)
        active = parts.new(length, up, reuse=(up,))
    return parts.new(parts.width, active)


def _experts(parts: Parts, layer: LayerFacts, normed: Node) -> Node:
    """The router, the chosen experts, their weighted sum, and the expert all tokens share."""
    width, used = parts.width, parts.facts.experts_used
    odds = parts.new(parts.facts.experts, normed)
    order = parts.new(parts.facts.experts, odds)
    weights = parts.new(used, parts.new(used, odds, order))
    gate = parts.new(layer.expert_length * used, normed, order)
    up = parts.new(layer.expert_length * used, normed, order)
    active = parts.new(layer.expert_length * used, gate, up)
    down = parts.new(width * used, active, order)
    result = parts.new(width, parts.new(width * used, down, weights, reuse=(down,)))
    parts.graph.settle()
    if not layer.shared_length:
        return result
    shared = _feed_forward(parts, layer.shared_length, normed, Gate.APART)
    return parts.new(width, result, shared, reuse=(result,))
