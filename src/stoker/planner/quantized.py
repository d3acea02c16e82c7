"""The same model in other quantizations, scaled from one of them. Pure."""

from dataclasses import replace
from typing import Final

from stoker.formats.facts import ModelFacts

BITS: Final = {
    "F16": 16.0, "Q8_0": 8.5, "Q6_K": 6.56, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q4_0": 4.65,
    "Q3_K_M": 4.0, "Q2_K": 3.2,
}  # fmt: skip
"""Bits per weight of whole models, best first: mixtures keep some tensors in larger types. Models
with a large vocabulary take a little more."""


def quantized(facts: ModelFacts, name: str) -> ModelFacts:
    """What this model would be in that quantization; only sizes of weights change."""
    return _scaled(facts, name, BITS[name] / facts.bits_per_weight)


def resized(facts: ModelFacts, name: str, size: int) -> ModelFacts:
    """What this model is in another quantization whose files have `size` bytes."""
    # All of one repository have the same header: tensors, and the vocabulary before them.
    header = facts.file_size - facts.weights_size
    ratio = max(size - header, 1) / max(facts.weights_size, 1)
    return replace(_scaled(facts, name, ratio), file_size=size)


def _scaled(facts: ModelFacts, name: str, ratio: float) -> ModelFacts:
    def scaled(size: int) -> int:
        return int(size * ratio)

    return replace(
        facts,
        quantization=name,
        weights_size=scaled(facts.weights_size),
        file_size=scaled(facts.file_size),
        input_weights=scaled(facts.input_weights),
        output_weights=scaled(facts.output_weights),
        head_weights=scaled(facts.head_weights),
        other_weights=scaled(facts.other_weights),
        layers=tuple(
            replace(
                layer,
                weights=scaled(layer.weights),
                experts=scaled(layer.experts),
                largest=scaled(layer.largest),
            )
            for layer in facts.layers
        ),
    )
