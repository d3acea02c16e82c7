"""The recurrent part of one layer, as nodes of the engine's graph (`mamba-base.cpp`, `lfm2.cpp`).

A layer's remembered states are fetched before anything else of the layer is computed.
"""

from typing import Final

from stoker.formats.facts import LayerFacts, RecurrentFacts
from stoker.planner.graph import Node
from stoker.planner.parts import F32, I32, Parts

_TOKEN_SHIFT: Final = ("rwkv", "arwkv")
_SHIFT_WIDTHS: Final = 14
"""How many times its width RWKV holds at once: measured, and rounded up."""
_OTHER_WIDTHS: Final = 7
"""Likewise of gated delta nets (Qwen 3.5)."""


def mamba(parts: Parts, layer: LayerFacts, ssm: RecurrentFacts, residual: Node) -> Node:
    """Before the output projection: `inner` elements for each row."""
    states = _states(parts, layer.conv_state, parts.batch.sequences)
    pair = parts.new(2 * ssm.inner, parts.norm(residual))
    taken = _convolved(parts, states, pair, length=ssm.inner, taps=ssm.conv)
    mixed = parts.new(ssm.rank + 2 * ssm.state, taken)
    step = parts.new(ssm.inner, parts.new(ssm.rank, mixed))
    gates: tuple[Node, ...] = (mixed,)
    if ssm.normed:
        gates = (parts.new(ssm.state, mixed), parts.new(ssm.state, mixed))
    scanned = _scanned(parts, layer, ssm.inner, taken, step, *gates)
    gate = parts.new(ssm.inner, pair)
    kept = parts.new(ssm.inner, taken, reuse=(taken,))
    return parts.new(ssm.inner, gate, parts.new(ssm.inner, scanned, kept, reuse=(kept,)))


def mamba2(parts: Parts, layer: LayerFacts, ssm: RecurrentFacts, residual: Node) -> Node:
    """Before the output projection: `inner` elements for each row."""
    states = _states(parts, layer.conv_state, parts.batch.sequences)
    mixed = ssm.inner + 2 * ssm.groups * ssm.state
    whole = parts.new(ssm.inner + mixed + ssm.rank, parts.norm(residual))
    taken = _convolved(parts, states, whole, length=mixed, taps=ssm.conv)
    step = parts.new(ssm.rank, whole)
    scanned = _scanned(parts, layer, ssm.inner, taken, step)
    gate = parts.new(ssm.inner, whole)
    kept = parts.new(ssm.inner, taken)
    result = parts.new(ssm.inner, gate, parts.new(ssm.inner, scanned, kept, reuse=(kept,)))
    return parts.new(ssm.inner, result)


def convolution(parts: Parts, layer: LayerFacts, residual: Node) -> Node:
    """A gated short convolution (LFM2): one width for each row."""
    width = parts.width
    states = _states(parts, layer.conv_state, parts.batch.sequences)
    three = parts.new(3 * width, parts.norm(residual))
    taps = layer.conv_state // width + 1 if width else 1
    convolved = _convolved(parts, states, parts.new(width, three), length=width, taps=taps)
    return parts.new(width, three, convolved, reuse=(convolved,))


def unknown_mixer(parts: Parts, layer: LayerFacts, normed: Node) -> Node:
    """A mixer known by its states only: it projects, and copies its states in and out."""
    width = max(parts.width, layer.heads * layer.key_length)
    shifts = parts.facts.architecture.startswith(_TOKEN_SHIFT)
    projected = parts.new((_SHIFT_WIDTHS if shifts else _OTHER_WIDTHS) * width, normed)
    states = _states(parts, layer.conv_state, parts.batch.sequences)
    size = F32 * (width * parts.rows + layer.state * parts.batch.sequences)
    return parts.graph.compute(size, projected, states)


def _states(parts: Parts, length: int, rows: int) -> Node:
    copies = parts.input("states", I32 * parts.batch.sequences)
    return parts.graph.fetch(F32 * length * rows, copies)


def _convolved(parts: Parts, states: Node, source: Node, *, length: int, taps: int) -> Node:
    """Over the remembered inputs and the new ones, which are joined first."""
    columns = parts.rows + (taps - 1) * parts.batch.sequences
    joined = parts.graph.compute(F32 * length * columns, states, source)
    parts.graph.store(joined)
    return parts.new(length, joined)


def _scanned(parts: Parts, layer: LayerFacts, inner: int, *sources: Node) -> Node:
    """The scan's results and, in the same tensor, the states after it."""
    sequences = parts.batch.sequences
    size = F32 * (inner * parts.rows + layer.scan_state * sequences)
    result = parts.graph.compute(size, *sources)
    parts.graph.settle()
    parts.graph.store(_states(parts, layer.scan_state, sequences - 1))
    parts.graph.store(result)
    return result
