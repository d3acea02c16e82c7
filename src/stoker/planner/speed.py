"""How fast a model will write, from what must be read for each token. Pure."""

from typing import Final

from stoker.formats.facts import ModelFacts
from stoker.planner.fit import Placement


def bytes_per_token(facts: ModelFacts, placement: Placement) -> int:
    """Bytes read for one token: weights but unused experts and the embedding; half the cache."""
    share = facts.experts_used / facts.experts if facts.experts else 1.0
    layers = sum(
        layer.weights - layer.experts + int(layer.experts * share)
        for layer in placement.estimate.layers
    )
    head = facts.head_weights if facts.tied else 0
    return layers + head + placement.estimate.cache // 2


ENGINE_SHARE: Final = 0.68
"""Of the bandwidth of a plain copy, what llama.cpp reaches while it writes: 0.59 to 0.75 where it
was measured, see docs/memory.md."""


def tokens_per_second(facts: ModelFacts, placement: Placement, bandwidth: float) -> float:
    """Of one answer, in host memory of that many bytes per second; 0 when a GPU takes part."""
    if placement.gpu_layers or not facts.layers:
        return 0.0
    return ENGINE_SHARE * bandwidth / max(bytes_per_token(facts, placement), 1)
