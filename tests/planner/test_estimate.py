from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting
from stoker.formats.facts import LayerFacts, ModelFacts
from stoker.planner.cache import cells_of
from stoker.planner.estimate import estimate_llamacpp
from stoker.planner.graph import Graph
from stoker.planner.options import Options
from tests.formats.files import small_llama
from tests.planner.cases import read_facts


def llama_8b() -> ModelFacts:
    """Llama 3 8B in Q8_0, as its header says."""
    layer = LayerFacts(
        weights=231_768_064, heads=32, kv_heads=8, key_length=128, value_length=128,
        feed_forward=14336,
    )  # fmt: skip
    return ModelFacts(
        format="gguf", architecture="llama", context_size=131_072, vocabulary=128_256,
        embedding_length=4096, layers=(layer,) * 32, input_weights=558_170_112,
        output_weights=558_186_496, head_weights=558_170_112,
    )  # fmt: skip


def test_cache_of_a_known_model() -> None:
    """128 KiB a token, the figure everyone quotes for Llama 3 8B."""
    estimate = estimate_llamacpp(llama_8b(), Options(context=8192, slots=1))
    assert estimate.cache == 8192 * 128 * 1024
    assert (
        estimate_llamacpp(
            llama_8b(), Options(context=8192, slots=1, keys="q8_0", values="q8_0")
        ).cache
        == 8192 * 128 * 1024 * 34 // 64
    )


@pytest.mark.parametrize(
    ("context", "slots", "unified", "wanted"),
    [
        (5000, 3, False, (5376, 1792, 3)),  # rounded per slot
        (5000, 3, True, (5120, 5120, 1)),
        (1, 1, False, (256, 256, 1)),
        (None, 4, True, (131_072, 131_072, 1)),
    ],
)
def test_cells(context: int | None, slots: int, unified: bool, wanted: tuple[int, ...]) -> None:  # noqa: FBT001
    cells = cells_of(llama_8b(), Options(context=context, slots=slots, unified=unified))
    assert (cells.context, cells.per_stream, cells.streams) == wanted


def test_parts_add_up(tmp_path: Path) -> None:
    facts = read_facts(small_llama(tmp_path / "m.gguf"))
    estimate = estimate_llamacpp(facts)
    assert estimate.weights == facts.weights_size
    assert estimate.exact
    assert len(estimate.layers) == len(facts.layers) + 1
    assert estimate.total_host_bytes > estimate.weights + estimate.cache + estimate.compute
    assert estimate.layers[-1].copied == facts.head_weights > 0  # it has no head of its own


def test_more_never_costs_less() -> None:
    facts = llama_8b()
    least = Options(context=4096, slots=1, prompt_cache=0)
    sizes = [
        estimate_llamacpp(facts, replace(least, context=context)).total_host_bytes
        for context in (4096, 8192, 16_384, 131_072)
    ]
    assert sizes == sorted(sizes)
    assert estimate_llamacpp(facts, replace(least, micro_batch=2048)).compute > (
        estimate_llamacpp(facts, least).compute
    )


def test_an_unknown_cache_type_is_a_setting_error() -> None:
    with pytest.raises(InvalidSetting):
        estimate_llamacpp(llama_8b(), Options(context=256, keys="q9_9"))


def test_a_header_without_a_shape_costs_its_weights() -> None:
    facts = ModelFacts(format="gguf", architecture="mystery", weights_size=10, other_weights=10)
    estimate = estimate_llamacpp(facts)
    assert estimate.weights == 10
    assert estimate.cache == 0


def test_graph_reuses_room_as_ggml_does() -> None:
    graph = Graph()
    first = graph.input(100)  # rounded up to 128
    second = graph.compute(64, first)
    third = graph.compute(64, second, reuse=(second,))  # in place
    graph.compute(96, third)  # fits into the hole the input left
    assert graph.peaks().alone == 128 + 64


def test_graph_takes_the_smallest_hole_and_merges_neighbours() -> None:
    graph = Graph()
    nodes = [graph.input(size) for size in (64, 32, 32, 32)]
    graph.store(nodes[0])
    graph.store(nodes[2])
    small = graph.compute(32)  # the hole of the third
    graph.store(nodes[1])  # joins the hole of the first: 96 bytes
    graph.compute(96, small, nodes[3])
    assert graph.peaks().alone == 160
