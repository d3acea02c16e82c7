"""Rules of llama.cpp that are not in the file: the expectations are its own `load_arch_hparams`."""

from typing import Any

import pytest

from stoker.base.errors import ParseError
from stoker.formats.facts import Kind, Mixer, Pooling
from stoker.formats.gguf import GgufHeader, Tensor
from stoker.formats.gguffacts import facts_of_gguf
from stoker.formats.ggufkeys import Keys
from stoker.formats.ggufvalues import Array, ValueType
from stoker.formats.layers import layer_facts
from stoker.formats.quant import TENSOR_TYPES
from stoker.formats.windows import sliding_layers, window_of


def array(*items: int | bool) -> Array:
    return Array(ValueType.INT32, len(items), tuple(items))


def keys_of(architecture: str, layers: int = 6, **own: Any) -> Keys:
    metadata: dict[str, Any] = {
        "general.architecture": architecture,
        f"{architecture}.block_count": layers,
        f"{architecture}.embedding_length": 64,
        f"{architecture}.attention.head_count": 4,
        f"{architecture}.attention.head_count_kv": 2,
    }
    metadata |= {f"{architecture}.{key.replace('__', '.')}": item for key, item in own.items()}
    return Keys(metadata)


def pattern(keys: Keys, layers: int = 6) -> str:
    """`w` for a layer with a window, `.` for a full one."""
    return "".join("w" if slides else "." for slides in sliding_layers(keys, layers))


@pytest.mark.parametrize(
    ("keys", "window", "wanted"),
    [
        (keys_of("llama", attention__sliding_window=512), 0, "......"),
        (keys_of("qwen2", attention__sliding_window=512), 0, "......"),
        (keys_of("gemma3", attention__sliding_window=512), 512, "wwwww."),
        (keys_of("gemma3"), 0, "......"),
        (keys_of("gemma2"), 4096, "w.w.w."),
        (keys_of("gpt-oss", attention__sliding_window=128), 128, "w.w.w."),
        (keys_of("smallthinker", attention__sliding_window=99), 4096, ".www.w"),
        (keys_of("smallthinker"), 0, "......"),
        (keys_of("llama4"), 8192, "www.ww"),
        (keys_of("llama4", attention__sliding_window=0), 0, "......"),
        (keys_of("exaone4", attention__sliding_window=512), 0, "......"),
        (keys_of("exaone4", 64, attention__sliding_window=512), 512, "www.ww"),
        (
            keys_of("gemma3", attention__sliding_window=512,
                    attention__sliding_window_pattern=array(1, 0, 1, 1, 0, 0)),
            512, "w.ww..",
        ),
        (
            keys_of("cohere2", attention__sliding_window=512,
                    attention__sliding_window_pattern=2),
            512, "w.w.w.",
        ),
        (
            keys_of("mimo2", attention__sliding_window=128,
                    attention__sliding_window_pattern=array(True, True, False)),
            128, "ww....",
        ),
        (keys_of("mimo2", attention__sliding_window=128), 128, "wwwwww"),
        (keys_of("lfm2", attention__sliding_window=128), 128, "wwwwww"),
    ],
)  # fmt: skip
def test_which_layers_have_a_window(keys: Keys, window: int, wanted: str) -> None:
    assert pattern(keys) == wanted
    assert window_of(keys) == window


def kinds(keys: Keys) -> str:
    """`a` for a layer with keys and values, `r` for one with states, `b` for both, `.` for none."""
    letters = {(True, False): "a", (False, True): "r", (True, True): "b", (False, False): "."}
    return "".join(
        letters[bool(layer.keys_width), bool(layer.state)] for layer in layer_facts(keys, {})
    )


SSM = {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (keys_of("llama"), "aaaaaa"),
        (keys_of("deci", attention__head_count_kv=array(2, 0, 2, 0, 0, 2)), "a.a..a"),
        (keys_of("llama", nextn_predict_layers=2), "aaaa.."),
        (keys_of("mamba", **SSM), "rrrrrr"),
        (keys_of("jamba", attention__head_count_kv=array(0, 2, 0, 0, 2, 0), **SSM), "rarrar"),
        (keys_of("falcon-h1", **SSM), "bbbbbb"),
        (keys_of("qwen3next", **SSM), "rrrarr"),
        (keys_of("qwen3next", full_attention_interval=2, **SSM), "rarara"),
        (keys_of("qwen35", attention__recurrent_layers=array(1, 1, 0, 0, 1, 0), **SSM), "rraara"),
        (
            keys_of("nemotron_h", attention__head_count_kv=array(0, 0, 2, 0, 0, 2),
                    feed_forward_length=array(0, 9, 0, 9, 0, 0), **SSM),
            "r.a.ra",
        ),
        (keys_of("gemma4", attention__shared_kv_layers=2), "aaaa.."),
        (keys_of("gemma3n", 22), "a" * 20 + ".."),
        (keys_of("bert"), "......"),
    ],
)  # fmt: skip
def test_which_layers_keep_what(keys: Keys, wanted: str) -> None:
    assert kinds(keys) == wanted


@pytest.mark.parametrize(
    ("keys", "conv", "scan"),
    [
        (keys_of("mamba", 1, **SSM), 3 * 128, 16 * 128),
        (keys_of("mamba2", 1, ssm__group_count=2, **SSM), 3 * (128 + 64), 16 * 128),
        (keys_of("rwkv7", 1, wkv__head_size=8), 2 * 64, 64 * 8),
        (keys_of("lfm2", 1, shortconv__l_cache=3, attention__head_count_kv=array(0)), 128, 0),
        (
            keys_of("kimi-linear", 1, kda__head_dim=16, ssm__conv_kernel=4,
                    attention__head_count_kv=array(0)),
            3 * 3 * 64, 16 * 16 * 4,
        ),
        (keys_of("minimax-01", 1, attention__key_length=32), 0, 32 * 32 * 4),
    ],
)  # fmt: skip
def test_states(keys: Keys, conv: int, scan: int) -> None:
    (layer,) = layer_facts(keys, {})
    assert (layer.conv_state, layer.scan_state) == (conv, scan)


def test_windows_may_have_heads_of_their_own() -> None:
    keys = keys_of(
        "gemma4", 2, attention__sliding_window=512, attention__key_length=128,
        attention__value_length=128, attention__key_length_swa=64, attention__value_length_swa=32,
        attention__sliding_window_pattern=array(1, 0),
    )  # fmt: skip
    first, second = layer_facts(keys, {})
    assert (first.key_length, first.value_length) == (64, 32)
    assert (second.key_length, second.value_length) == (128, 128)


def test_an_indexer_keeps_a_key_more() -> None:
    keys = keys_of("deepseek32", 1, attention__indexer__key_length=128)
    assert layer_facts(keys, {})[0].index_length == 128


def test_numbers_no_model_has_count_as_absent() -> None:
    assert layer_facts(keys_of("llama", 1 << 40), {}) == ()
    assert len(layer_facts(keys_of("llama", 1 << 30), {})) == 512


def header(*tensors: tuple[str, tuple[int, ...]], **metadata: Any) -> GgufHeader:
    table = []
    for name, shape in tensors:
        count = 1
        for length in shape:
            count *= length
        table.append(Tensor(name, shape, TENSOR_TYPES[1], 0, count, count * 2))
    values = {key.replace("__", "."): value for key, value in metadata.items()}
    return GgufHeader(3, values, tuple(table), 32, 0, 1000)


@pytest.mark.parametrize(
    ("metadata", "kind", "pooling"),
    [
        ({}, Kind.GENERATION, Pooling.NONE),
        ({"x.pooling_type": 1}, Kind.EMBEDDING, Pooling.MEAN),
        ({"x.pooling_type": 4}, Kind.RERANKING, Pooling.RANK),
        ({"x.pooling_type": 99}, Kind.GENERATION, Pooling.NONE),
        ({"x.attention.causal": False}, Kind.EMBEDDING, Pooling.NONE),
        ({"general.type": "adapter"}, Kind.ADAPTER, Pooling.NONE),
        ({"general.type": "mmproj"}, Kind.PROJECTOR, Pooling.NONE),
        ({"general.architecture": "clip"}, Kind.PROJECTOR, Pooling.NONE),
    ],
)
def test_kind(metadata: dict[str, Any], kind: Kind, pooling: Pooling) -> None:
    facts = facts_of_gguf(header(**{"general.architecture": "x"} | metadata))
    assert facts.kind is kind
    assert facts.pooling is pooling


def test_shards_make_one_model() -> None:
    first = header(
        ("token_embd.weight", (8, 4)), ("blk.0.attn_q.weight", (4, 4)),
        general__architecture="llama", llama__block_count=2, split__count=2, split__no=0,
    )  # fmt: skip
    second = header(
        ("blk.1.ffn_up_exps.weight", (4, 8, 2)), ("output.weight", (8, 4)), ("rope_freqs", (4,)),
        split__count=2, split__no=1,
    )  # fmt: skip
    facts = facts_of_gguf(first, second)
    assert facts.parameters == 32 + 16 + 64 + 32 + 4
    assert facts.weights_size == 2 * facts.parameters
    assert facts.file_size == 2000
    assert [layer.weights for layer in facts.layers] == [32, 128]
    assert facts.layers[1].experts == 128
    assert facts.layers[0].mixer is Mixer.ATTENTION
    assert (facts.input_weights, facts.output_weights, facts.other_weights) == (64, 64, 8)
    assert not facts.tied
    assert facts_of_gguf(first).tied


def test_wrong_sets_of_shards_are_refused() -> None:
    one = {"general__architecture": "llama", "split__count": 3}
    with pytest.raises(ParseError, match="3 shards, 2"):
        facts_of_gguf(header(**one), header())
    with pytest.raises(ParseError, match="shard 2 of 3"):
        facts_of_gguf(header(**one, split__no=1))
    with pytest.raises(ParseError, match="architecture"):
        facts_of_gguf(header())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", 513),
        ("context_length", (1 << 32) - 1),
        ("embedding_length", 1 << 31),
        ("rope.freq_base", float("nan")),
        ("rope.scaling.factor", float("inf")),
    ],
)
def test_numbers_that_engines_crash_on_or_do_not_notice_are_refused(key: str, value: float) -> None:
    with pytest.raises(ParseError, match=f"gguf: x.{key} is ") as refused:
        facts_of_gguf(header(**{"general.architecture": "x", f"x.{key}": value}))
    assert "damaged" in (refused.value.hint or "")
