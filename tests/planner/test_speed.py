"""Tokens per second and other quantizations, from facts."""

from dataclasses import replace

import pytest

from stoker.formats.facts import LayerFacts, ModelFacts
from stoker.planner.devices import Snapshot
from stoker.planner.fit import place
from stoker.planner.options import Options
from stoker.planner.quantized import BITS, quantized
from stoker.planner.speed import ENGINE_SHARE, bytes_per_token, tokens_per_second

MIB = 1024 * 1024
HOST = Snapshot(host_total=64 << 30, host_free=64 << 30)


def facts(experts: int = 0, used: int = 0) -> ModelFacts:
    layer = LayerFacts(weights=100 * MIB, largest=40 * MIB, experts=80 * MIB if experts else 0)
    return ModelFacts(
        format="gguf", parameters=200 * MIB, weights_size=200 * MIB, file_size=200 * MIB,
        context_size=4096, layers=(layer, layer), experts=experts, experts_used=used,
    )  # fmt: skip


def test_unused_experts_are_not_read() -> None:
    dense, sparse = facts(), facts(experts=8, used=2)
    whole, part = (place(f, HOST, options=Options(context=512)) for f in (dense, sparse))
    assert bytes_per_token(dense, whole) == 200 * MIB
    assert bytes_per_token(sparse, part) == 2 * (20 + 20) * MIB
    assert tokens_per_second(dense, whole, 2000 * MIB) == pytest.approx(10 * ENGINE_SHARE)


def test_a_quantization_scales_weights_and_nothing_else() -> None:
    model = facts()
    assert model.bits_per_weight == 8
    scaled = quantized(model, "Q4_K_M")
    assert scaled.weights_size == int(200 * MIB * BITS["Q4_K_M"] / 8)
    assert scaled.layers[0].weights == int(100 * MIB * BITS["Q4_K_M"] / 8)
    assert scaled.layers[0].largest == int(40 * MIB * BITS["Q4_K_M"] / 8)
    assert replace(scaled, layers=(), quantization="", weights_size=0, file_size=0) == replace(
        model, layers=(), quantization="", weights_size=0, file_size=0
    )
