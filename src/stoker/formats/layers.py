"""What each layer of a GGUF model keeps in the engine's cache, after llama.cpp's `load_hparams`.

Some rules are not in the file but in the engine, by architecture: they are the tables below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stoker.formats.facts import Gate, LatentFacts, LayerFacts, Mixer, RecurrentFacts
from stoker.formats.ggufkeys import Keys
from stoker.formats.windows import sliding_layers

MAX_LAYERS: Final = 512
"""LLAMA_MAX_LAYERS: the engine refuses more."""

_RECURRENT: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# Hybrids that name an interval of full layers; the others mark recurrent layers by 0 KV heads.
_INTERVAL: Final = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"})
_HYBRID: Final = _INTERVAL | {
    "jamba", "falcon-h1", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h",
    "nemotron_h_moe", "kimi-linear", "bailingmoe3", "kimi-k3", "glm5-next",
}  # fmt: skip
NO_CACHE: Final = frozenset({
    "bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert",
    "eurobert", "modern-bert", "gemma-embedding", "gemma-embedding2", "dream", "llada",
    "llada-moe", "rnd1", "clef", "t5encoder",
})  # fmt: skip
UNKNOWN_CACHE: Final = frozenset({
    "deepseek4", "dots3note", "dflash", "eagle3", "glm5-next", "qwen4exp", "minimax-m3", "hy-v4",
    "t5",
})  # fmt: skip
_SPARSE: Final = frozenset({"deepseek32", "glm-dsa"})
RESIDUAL_FIRST: Final = frozenset({"jamba", "lfm2", "lfm2moe"})


@dataclass(frozen=True, slots=True)
class TensorShapes:
    """What the tensor table says of one layer; dimensions by name without `blk.N.`."""

    weights: int
    experts: int
    largest: int
    shapes: Mapping[str, tuple[int, ...]]


def layer_facts(keys: Keys, tensors: Mapping[int, TensorShapes]) -> tuple[LayerFacts, ...]:
    """One record for each layer, those of a draft head (next-n) last, without a cache."""
    count = min(keys.number(keys.own("block_count")), MAX_LAYERS)
    trunk = max(count - keys.number(keys.own("nextn_predict_layers")), 0) or count
    heads = keys.per_layer(keys.own("attention.head_count"), count)
    kv_heads = keys.per_layer(keys.own("attention.head_count_kv"), count, default=-1)
    slides = sliding_layers(keys, count)
    recurs = _recurrent_layers(keys, count, kv_heads)
    both = keys.architecture == "falcon-h1"
    found = []
    for number in range(count):
        table = tensors.get(number, TensorShapes(0, 0, 0, {}))
        width = kv_heads[number] if kv_heads[number] >= 0 else heads[number]
        attends = (
            number < trunk and (both or not recurs[number]) and _has_cache(keys, number, count)
        )
        remembers = number < trunk and (both or recurs[number])
        found.append(
            _layer(
                keys,
                table,
                heads=heads[number],
                kv_heads=width if attends else 0,
                sliding=slides[number],
                states=_states(keys, heads[number]) if remembers else (0, 0),
            )
        )
    return tuple(found)


def _layer(
    keys: Keys,
    table: TensorShapes,
    *,
    heads: int,
    kv_heads: int,
    sliding: bool,
    states: tuple[int, int],
) -> LayerFacts:
    key, value = _head_lengths(keys, heads, sliding=sliding)
    latent = latent_facts(keys) is not None
    sparse = keys.architecture in _SPARSE and kv_heads > 0
    shapes = table.shapes
    return LayerFacts(
        mixer=_mixer(shapes),
        weights=table.weights,
        experts=table.experts,
        largest=table.largest,
        heads=heads,
        kv_heads=kv_heads,
        key_length=key,
        value_length=0 if latent else value,
        index_length=keys.number(keys.own("attention.indexer.key_length")) if sparse else 0,
        sliding=sliding,
        conv_state=states[0],
        scan_state=states[1],
        fused="attn_qkv.weight" in shapes,
        feed_forward=_columns(shapes, "ffn_down.weight"),
        gate=_gate(shapes),
        expert_length=_rows(shapes, "ffn_up_exps.weight")
        or _rows(shapes, "ffn_gate_up_exps.weight") // 2,
        shared_length=_rows(shapes, "ffn_up_shexp.weight"),
    )


def _rows(shapes: Mapping[str, tuple[int, ...]], name: str) -> int:
    shape = shapes.get(name, ())
    return shape[1] if len(shape) > 1 else 0


def _columns(shapes: Mapping[str, tuple[int, ...]], name: str) -> int:
    shape = shapes.get(name, ())
    return shape[0] if shape else 0


def _gate(shapes: Mapping[str, tuple[int, ...]]) -> Gate:
    if "ffn_gate.weight" in shapes:
        return Gate.APART
    length = _columns(shapes, "ffn_down.weight")
    return Gate.FUSED if length and _rows(shapes, "ffn_up.weight") == 2 * length else Gate.NONE


def _mixer(shapes: Mapping[str, tuple[int, ...]]) -> Mixer:
    attends = "attn_q.weight" in shapes or "attn_qkv.weight" in shapes
    if "attn_kv_a_mqa.weight" in shapes:
        return Mixer.LATENT
    if "ssm_x.weight" in shapes:
        return Mixer.MAMBA
    if "ssm_in.weight" in shapes:
        return Mixer.PARALLEL if attends else Mixer.MAMBA2
    if "shortconv.conv.weight" in shapes:
        return Mixer.CONVOLUTION
    if any(name.startswith(("ssm_", "time_mix_", "kda_")) for name in shapes):
        return Mixer.OTHER
    return Mixer.ATTENTION if attends else Mixer.NONE


def _head_lengths(keys: Keys, heads: int, *, sliding: bool) -> tuple[int, int]:
    default = keys.number(keys.own("embedding_length")) // heads if heads else 0
    key = keys.number(keys.own("attention.key_length"), default)
    value = keys.number(keys.own("attention.value_length"), default)
    if sliding:
        key = keys.number(keys.own("attention.key_length_swa"), key)
        value = keys.number(keys.own("attention.value_length_swa"), value)
    return key, value


def _has_cache(keys: Keys, number: int, count: int) -> bool:
    """Late layers of Gemma 3n and 4 use the cache of earlier ones."""
    if keys.architecture == "gemma3n":
        return number < 20
    if keys.architecture == "gemma4":
        return number < count - keys.number(keys.own("attention.shared_kv_layers"))
    return keys.architecture not in NO_CACHE


def _recurrent_layers(keys: Keys, count: int, kv_heads: tuple[int, ...]) -> tuple[bool, ...]:
    name = keys.architecture
    if name in _RECURRENT:
        return (True,) * count
    if name not in _HYBRID:
        return (False,) * count
    if name in _INTERVAL:
        listed = keys.own("attention.recurrent_layers")
        if listed in keys:
            return tuple(bool(item) for item in keys.per_layer(listed, count))
        interval = keys.number(keys.own("full_attention_interval"), 4) or 4
        return tuple((number + 1) % interval != 0 for number in range(count))
    if name.startswith("nemotron_h"):
        forward = keys.per_layer(keys.own("feed_forward_length"), count)
        return tuple(kv_heads[n] == 0 and forward[n] == 0 for n in range(count))
    return tuple(kv_heads[number] == 0 for number in range(count))


def _states(keys: Keys, heads: int) -> tuple[int, int]:
    """float32 elements of a recurrent layer per sequence: `n_embd_r` and `n_embd_s`."""
    width = keys.number(keys.own("embedding_length"))
    wkv = keys.number(keys.own("wkv.head_size"))
    if wkv:
        return keys.number(keys.own("token_shift_count"), 2) * width, width * wkv
    cache = keys.number(keys.own("shortconv.l_cache"))
    if cache:
        return width * (cache - 1), 0
    conv = keys.number(keys.own("ssm.conv_kernel"))
    kda = keys.number(keys.own("kda.head_dim"))
    if kda:
        return 3 * (conv - 1 if conv else 3) * heads * kda, kda * kda * heads
    inner = keys.number(keys.own("ssm.inner_size"))
    state = keys.number(keys.own("ssm.state_size"))
    if keys.architecture == "minimax-01":
        length, _ = _head_lengths(keys, heads, sliding=False)
        return 0, length * length * heads
    groups = keys.number(keys.own("ssm.group_count"))
    return max(conv - 1, 0) * (inner + 2 * groups * state), state * inner


def latent_facts(keys: Keys) -> LatentFacts | None:
    """Of a model whose cache holds compressed keys: both `*_mla` lengths are given."""
    key = keys.number(keys.own("attention.key_length_mla"))
    value = keys.number(keys.own("attention.value_length_mla"))
    if not key or not value:
        return None
    rope = keys.number(keys.own("rope.dimension_count"))
    return LatentFacts(
        query_rank=keys.number(keys.own("attention.q_lora_rank")),
        rank=keys.number(keys.own("attention.kv_lora_rank")),
        rope=rope,
        nope=max(key - rope, 0),
        value=value,
    )


def recurrent_facts(keys: Keys) -> RecurrentFacts | None:
    """Of a model with Mamba layers."""
    inner = keys.number(keys.own("ssm.inner_size"))
    if not inner:
        return None
    return RecurrentFacts(
        conv=keys.number(keys.own("ssm.conv_kernel")),
        inner=inner,
        state=keys.number(keys.own("ssm.state_size")),
        rank=keys.number(keys.own("ssm.time_step_rank")),
        groups=keys.number(keys.own("ssm.group_count")),
        normed=keys.architecture == "jamba" or keys.flag(keys.own("ssm.dt_b_c_rms")),
    )
