"""Models of many shapes without weights: real headers, and a hole of the right size behind them.

The engine maps the file and never reads the hole, so that a model of several GB costs nothing.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

F32, F16 = GGMLQuantizationType.F32, GGMLQuantizationType.F16
Tensors = dict[str, tuple[int, ...]]

BYTES = [f"<0x{number:02X}>" for number in range(256)]
SPECIAL = ["<unk>", "<s>", "</s>"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A model to be written. `keys` lack the architecture's prefix; `tensors` are rows first."""

    name: str
    architecture: str
    keys: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]
    vocabulary: int
    kind: GGMLQuantizationType = F16
    """Of the matrices; vectors are F32."""
    general: Mapping[str, Any] = field(default_factory=dict)


def write(shape: Shape, folder: Path) -> Path:
    """The shape as a sparse GGUF file."""
    path = folder / f"{shape.name}.gguf"
    writer = GGUFWriter(path, shape.architecture)
    for key, value in shape.keys.items():
        _add(writer, f"{shape.architecture}.{key}", value)
    for key, value in shape.general.items():
        _add(writer, key, value)
    _add_vocabulary(writer, shape.vocabulary)
    data = 0
    for name, dims in shape.tensors.items():
        kind = _kind_of(name, dims, shape.kind)
        block, size = GGML_QUANT_SIZES[kind]
        count = 1
        for length in dims:
            count *= length
        writer.add_tensor_info(name, dims, _dtype(kind), count // block * size, kind)
        data += -(-(count // block * size) // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    header = -(-path.stat().st_size // 32) * 32
    os.truncate(path, header + data)
    return path


def _kind_of(name: str, dims: Sequence[int], kind: GGMLQuantizationType) -> GGMLQuantizationType:
    small = (
        "conv",
        "ssm_a",
        "ssm_d",
        "ssm_norm",
        "norm",
        "gate_inp",
        ".bias",
        "lerp",
        "time_mix_r_k",
    )
    if len(dims) == 1 or any(word in name for word in small):
        return F32
    return kind


def _dtype(kind: GGMLQuantizationType) -> Any:
    # Of quantised types the writer would take uint8 for a shape in bytes.
    return np.dtype(np.float16 if kind is F16 else np.float32)


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, list(value))


def _add_vocabulary(writer: GGUFWriter, count: int) -> None:
    tokens = (SPECIAL + BYTES + [f"t{number}" for number in range(count)])[:count]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * count)
    writer.add_token_types(([2, 3, 3] + [6] * 256 + [1] * count)[:count])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{{ messages[0].content }}")


@dataclass(frozen=True, slots=True)
class Size:
    """What most families share. Lengths in elements."""

    layers: int = 4
    width: int = 256
    heads: int = 8
    kv_heads: int = 2
    head: int = 32
    feed_forward: int = 512
    vocabulary: int = 512
    context: int = 32768


def _base(size: Size) -> dict[str, Any]:
    return {
        "context_length": size.context,
        "embedding_length": size.width,
        "block_count": size.layers,
        "feed_forward_length": size.feed_forward,
        "attention.head_count": size.heads,
        "attention.head_count_kv": size.kv_heads,
        "attention.key_length": size.head,
        "attention.value_length": size.head,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": size.head,
    }


def _ends(size: Size, *, tied: bool = False, norm: str = "output_norm") -> Tensors:
    found: Tensors = {
        "token_embd.weight": (size.vocabulary, size.width),
        f"{norm}.weight": (size.width,),
    }
    if not tied:
        found["output.weight"] = (size.vocabulary, size.width)
    return found


def _attention(size: Size, *, norms: bool = False, kv_heads: int | None = None) -> Tensors:
    kv = (size.kv_heads if kv_heads is None else kv_heads) * size.head
    found: Tensors = {
        "attn_norm.weight": (size.width,),
        "attn_q.weight": (size.heads * size.head, size.width),
        "attn_k.weight": (kv, size.width),
        "attn_v.weight": (kv, size.width),
        "attn_output.weight": (size.width, size.heads * size.head),
    }
    if norms:
        found |= {"attn_q_norm.weight": (size.head,), "attn_k_norm.weight": (size.head,)}
    return found


def _dense(size: Size) -> Tensors:
    return {
        "ffn_norm.weight": (size.width,),
        "ffn_gate.weight": (size.feed_forward, size.width),
        "ffn_up.weight": (size.feed_forward, size.width),
        "ffn_down.weight": (size.width, size.feed_forward),
    }


def _experts(size: Size, count: int, length: int) -> Tensors:
    return {
        "ffn_norm.weight": (size.width,),
        "ffn_gate_inp.weight": (count, size.width),
        "ffn_gate_exps.weight": (count, length, size.width),
        "ffn_up_exps.weight": (count, length, size.width),
        "ffn_down_exps.weight": (count, size.width, length),
    }


def _layers(count: int, layer: Callable[[int], Tensors]) -> Tensors:
    return {
        f"blk.{number}.{name}": dims
        for number in range(count)
        for name, dims in layer(number).items()
    }


def dense(
    name: str, size: Size, *, architecture: str = "llama", tied: bool = False, norms: bool = False,
    kind: GGMLQuantizationType = F16,
) -> Shape:  # fmt: skip
    """llama, qwen3 (`norms`) and their like."""
    tensors = _ends(size, tied=tied) | _layers(
        size.layers, lambda _: _attention(size, norms=norms) | _dense(size)
    )
    return Shape(name, architecture, _base(size), tensors, size.vocabulary, kind)


def experts(
    name: str, size: Size, count: int, used: int, length: int, *, architecture: str = "llama"
) -> Shape:
    """llama with experts (Mixtral), qwen3moe."""
    keys = _base(size) | {
        "expert_count": count, "expert_used_count": used, "expert_feed_forward_length": length,
        "feed_forward_length": length,
    }  # fmt: skip
    norms = architecture == "qwen3moe"
    tensors = _ends(size) | _layers(
        size.layers, lambda _: _attention(size, norms=norms) | _experts(size, count, length)
    )
    return Shape(name, architecture, keys, tensors, size.vocabulary)


def gemma(name: str, size: Size, window: int, *, architecture: str = "gemma3") -> Shape:
    """Sliding windows: five of six layers (gemma3) or every other one (gemma2)."""
    keys = _base(size) | {"attention.sliding_window": window}
    post: Tensors = {
        "post_attention_norm.weight": (size.width,),
        "post_ffw_norm.weight": (size.width,),
    }
    norms = architecture == "gemma3"
    tensors = _ends(size, tied=True) | _layers(
        size.layers, lambda _: _attention(size, norms=norms) | _dense(size) | post
    )
    return Shape(name, architecture, keys, tensors, size.vocabulary)


def gpt_oss(name: str, size: Size, window: int, count: int, used: int) -> Shape:
    """Windows on every other layer, experts, attention sinks, biases."""
    keys = _base(size) | {
        "attention.sliding_window": window, "expert_count": count, "expert_used_count": used,
        "expert_feed_forward_length": size.feed_forward,
    }  # fmt: skip

    def layer(_: int) -> Tensors:
        found = _attention(size) | _experts(size, count, size.feed_forward)
        del found["ffn_norm.weight"]
        return found | {
            "post_attention_norm.weight": (size.width,),
            "attn_sinks.weight": (size.heads,),
            "attn_output.bias": (size.width,),
            "ffn_gate_inp.bias": (count,),
            "ffn_gate_exps.bias": (count, size.feed_forward),
            "ffn_up_exps.bias": (count, size.feed_forward),
            "ffn_down_exps.bias": (count, size.width),
        }

    tensors = _ends(size) | _layers(size.layers, layer)
    return Shape(name, "gpt-oss", keys, tensors, size.vocabulary)


def latent(
    name: str, size: Size, *, rank: int, rope: int, nope: int, value: int, query_rank: int = 64,
    dense_layers: int = 1, count: int = 8, used: int = 2,
) -> Shape:  # fmt: skip
    """DeepSeek 2 and 3: multi-head latent attention, experts after some dense layers."""
    keys = _base(size) | {
        "attention.head_count_kv": 1,
        "attention.key_length": rank + rope,
        "attention.value_length": rank,
        "attention.key_length_mla": nope + rope,
        "attention.value_length_mla": value,
        "attention.q_lora_rank": query_rank,
        "attention.kv_lora_rank": rank,
        "rope.dimension_count": rope,
        "leading_dense_block_count": dense_layers,
        "expert_count": count, "expert_used_count": used, "expert_shared_count": 1,
        "expert_feed_forward_length": size.feed_forward // 2,
        "expert_weights_scale": 1.0, "expert_gating_func": 2,
    }  # fmt: skip

    def layer(number: int) -> Tensors:
        found: Tensors = {
            "attn_norm.weight": (size.width,),
            "attn_q_a_norm.weight": (query_rank,),
            "attn_kv_a_norm.weight": (rank,),
            "attn_q_a.weight": (query_rank, size.width),
            "attn_q_b.weight": (size.heads * (nope + rope), query_rank),
            "attn_kv_a_mqa.weight": (rank + rope, size.width),
            "attn_k_b.weight": (size.heads, rank, nope),
            "attn_v_b.weight": (size.heads, value, rank),
            "attn_output.weight": (size.width, size.heads * value),
        }
        if number < dense_layers:
            return found | _dense(size)
        length = size.feed_forward // 2
        return (
            found
            | _experts(size, count, length)
            | {
                "ffn_gate_shexp.weight": (length, size.width),
                "ffn_up_shexp.weight": (length, size.width),
                "ffn_down_shexp.weight": (size.width, length),
            }
        )

    return Shape(
        name, "deepseek2", keys, _ends(size) | _layers(size.layers, layer), size.vocabulary
    )


@dataclass(frozen=True, slots=True)
class State:
    """The recurrent part of a model."""

    conv: int = 4
    inner: int = 512
    state: int = 16
    rank: int = 16
    groups: int = 1

    def keys(self) -> dict[str, Any]:
        return {
            "ssm.conv_kernel": self.conv, "ssm.inner_size": self.inner,
            "ssm.state_size": self.state, "ssm.time_step_rank": self.rank,
        }  # fmt: skip


def _mamba1(size: Size, ssm: State, *, norms: bool = False) -> Tensors:
    found: Tensors = {
        "attn_norm.weight": (size.width,),
        "ssm_in.weight": (2 * ssm.inner, size.width),
        "ssm_conv1d.weight": (ssm.inner, ssm.conv),
        "ssm_conv1d.bias": (ssm.inner,),
        "ssm_x.weight": (ssm.rank + 2 * ssm.state, ssm.inner),
        "ssm_dt.weight": (ssm.inner, ssm.rank),
        "ssm_dt.bias": (ssm.inner,),
        "ssm_a": (ssm.inner, ssm.state),
        "ssm_d": (ssm.inner,),
        "ssm_out.weight": (size.width, ssm.inner),
    }
    if norms:
        found |= {
            "ssm_dt_norm.weight": (ssm.rank,),
            "ssm_b_norm.weight": (ssm.state,),
            "ssm_c_norm.weight": (ssm.state,),
        }
    return found


def _mamba2(size: Size, ssm: State) -> Tensors:
    conv = ssm.inner + 2 * ssm.groups * ssm.state
    return {
        "attn_norm.weight": (size.width,),
        "ssm_in.weight": (ssm.inner + conv + ssm.rank, size.width),
        "ssm_conv1d.weight": (conv, ssm.conv),
        "ssm_conv1d.bias": (conv,),
        "ssm_dt.bias": (ssm.rank,),
        "ssm_a": (ssm.rank, 1),
        "ssm_d": (ssm.rank, 1),
        "ssm_norm.weight": (ssm.groups, ssm.inner // ssm.groups),
        "ssm_out.weight": (size.width, ssm.inner),
    }


def _recurrent_keys(size: Size) -> dict[str, Any]:
    return {
        "context_length": size.context, "embedding_length": size.width,
        "block_count": size.layers, "feed_forward_length": 0, "attention.head_count": 0,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip


def mamba(name: str, size: Size, ssm: State) -> Shape:
    keys = _recurrent_keys(size) | ssm.keys()
    tensors = _ends(size) | _layers(size.layers, lambda _: _mamba1(size, ssm))
    return Shape(name, "mamba", keys, tensors, size.vocabulary)


def mamba2(name: str, size: Size, ssm: State) -> Shape:
    keys = _recurrent_keys(size) | ssm.keys() | {"ssm.group_count": ssm.groups}
    tensors = _ends(size) | _layers(size.layers, lambda _: _mamba2(size, ssm))
    return Shape(name, "mamba2", keys, tensors, size.vocabulary)


def jamba(name: str, size: Size, ssm: State, every: int) -> Shape:
    """One attention layer in `every`, mamba layers between."""
    kv = [0 if (number + 1) % every else size.kv_heads for number in range(size.layers)]
    keys = _base(size) | ssm.keys() | {"attention.head_count_kv": kv}

    def layer(number: int) -> Tensors:
        mixer = _attention(size) if kv[number] else _mamba1(size, ssm, norms=True)
        return mixer | _dense(size)

    return Shape(name, "jamba", keys, _ends(size) | _layers(size.layers, layer), size.vocabulary)


def granite_hybrid(name: str, size: Size, ssm: State, every: int) -> Shape:
    kv = [0 if (number + 1) % every else size.kv_heads for number in range(size.layers)]
    keys = _base(size) | ssm.keys() | {
        "attention.head_count_kv": kv, "ssm.group_count": ssm.groups,
    }  # fmt: skip

    def layer(number: int) -> Tensors:
        return (_attention(size) if kv[number] else _mamba2(size, ssm)) | _dense(size)

    tensors = _ends(size) | _layers(size.layers, layer)
    return Shape(name, "granitehybrid", keys, tensors, size.vocabulary)


def falcon_h1(name: str, size: Size, ssm: State) -> Shape:
    """Attention and mamba side by side in every layer."""
    keys = _base(size) | ssm.keys() | {"ssm.group_count": ssm.groups}

    def layer(_: int) -> Tensors:
        found = _attention(size) | _mamba2(size, ssm) | _dense(size)
        found["ffn_norm"] = found.pop("ffn_norm.weight")
        return found

    tensors = _ends(size) | _layers(size.layers, layer)
    return Shape(name, "falcon-h1", keys, tensors, size.vocabulary)


def lfm2(name: str, size: Size, every: int, cache: int = 3) -> Shape:
    """Short convolutions, one attention layer in `every`."""
    kv = [0 if (number + 1) % every else size.kv_heads for number in range(size.layers)]
    keys = _base(size) | {"attention.head_count_kv": kv, "shortconv.l_cache": cache}

    def layer(number: int) -> Tensors:
        if kv[number]:
            return _attention(size, norms=True) | _dense(size)
        return _dense(size) | {
            "attn_norm.weight": (size.width,),
            "shortconv.conv.weight": (size.width, cache),
            "shortconv.in_proj.weight": (3 * size.width, size.width),
            "shortconv.out_proj.weight": (size.width, size.width),
        }

    tensors = _ends(size, tied=True, norm="token_embd_norm") | _layers(size.layers, layer)
    return Shape(name, "lfm2", keys, tensors, size.vocabulary)


def cohere2(name: str, size: Size, window: int) -> Shape:
    """Attention and feed-forward part side by side; windows on three of four layers."""
    keys = _base(size) | {
        "attention.layer_norm_epsilon": 1e-5, "logit_scale": 1.0,
        "attention.sliding_window": window,
    }  # fmt: skip

    def layer(_: int) -> Tensors:
        found = _attention(size) | _dense(size)
        del found["ffn_norm.weight"]
        return found

    tensors = _ends(size, tied=True) | _layers(size.layers, layer)
    return Shape(name, "cohere2", keys, tensors, size.vocabulary)


def gpt2(name: str, size: Size) -> Shape:
    """No gate, no rotary embedding, biases everywhere."""
    keys = _base(size) | {
        "attention.layer_norm_epsilon": 1e-5, "context_length": 2048,
        "attention.head_count_kv": size.heads,
    }  # fmt: skip
    width = size.heads * size.head

    def layer(_: int) -> Tensors:
        matrices: Tensors = {
            "attn_qkv": (3 * width, size.width),
            "attn_output": (size.width, width),
            "ffn_up": (size.feed_forward, size.width),
            "ffn_down": (size.width, size.feed_forward),
            "attn_norm": (size.width,),
            "ffn_norm": (size.width,),
        }
        return {f"{name}.weight": dims for name, dims in matrices.items()} | {
            f"{name}.bias": dims[:1] for name, dims in matrices.items()
        }

    tensors = _ends(size) | _layers(size.layers, layer)
    tensors |= {"output_norm.bias": (size.width,), "position_embd.weight": (2048, size.width)}
    return Shape(name, "gpt2", keys, tensors, size.vocabulary)


def phi3(name: str, size: Size) -> Shape:
    """Queries, keys and values in one projection, likewise both halves of the feed-forward part."""
    keys = _base(size) | {"attention.sliding_window": 512}  # which the engine ignores

    def layer(_: int) -> Tensors:
        kv = size.kv_heads * size.head
        return {
            "attn_norm.weight": (size.width,),
            "attn_qkv.weight": (size.heads * size.head + 2 * kv, size.width),
            "attn_output.weight": (size.width, size.heads * size.head),
            "ffn_norm.weight": (size.width,),
            "ffn_up.weight": (2 * size.feed_forward, size.width),
            "ffn_down.weight": (size.width, size.feed_forward),
        }

    return Shape(name, "phi3", keys, _ends(size) | _layers(size.layers, layer), size.vocabulary)


def gated_delta(name: str, size: Size, ssm: State) -> Shape:
    """Qwen 3.5: three linear-attention layers, then a full one."""
    keys = _base(size) | ssm.keys() | {
        "ssm.group_count": ssm.groups, "rope.dimension_sections": [8, 4, 4, 0],
    }  # fmt: skip
    keys_width, values_width = ssm.state * ssm.groups, ssm.state * ssm.rank

    def layer(number: int) -> Tensors:
        found = _dense(size) | {"post_attention_norm.weight": (size.width,)}
        del found["ffn_norm.weight"]
        if (number + 1) % 4 == 0:
            full = _attention(size, norms=True)
            full["attn_q.weight"] = (2 * size.heads * size.head, size.width)
            return found | full
        return found | {
            "attn_norm.weight": (size.width,),
            "attn_qkv.weight": (2 * keys_width + values_width, size.width),
            "attn_gate.weight": (values_width, size.width),
            "ssm_conv1d.weight": (2 * keys_width + values_width, ssm.conv),
            "ssm_dt.bias": (ssm.rank,),
            "ssm_a": (ssm.rank,),
            "ssm_beta.weight": (ssm.rank, size.width),
            "ssm_alpha.weight": (ssm.rank, size.width),
            "ssm_norm.weight": (ssm.state,),
            "ssm_out.weight": (size.width, values_width),
        }

    tensors = _ends(size) | _layers(size.layers, layer)
    return Shape(name, "qwen35", keys, tensors, size.vocabulary)


def rwkv7(name: str, size: Size, head: int = 64, rank: int = 32) -> Shape:
    """No attention at all: token shifts and matrix states."""
    keys = _recurrent_keys(size) | {
        "wkv.head_size": head, "feed_forward_length": size.feed_forward,
        "attention.layer_norm_epsilon": 1e-5, "attention.decay_lora_rank": rank,
        "attention.iclr_lora_rank": rank, "attention.value_residual_mix_lora_rank": rank,
        "attention.gate_lora_rank": rank,
    }  # fmt: skip
    width = size.width

    def layer(_: int) -> Tensors:
        found: Tensors = {
            f"time_mix_{part}.{kind}": (width,)
            for part, kind in (("ln", "weight"), ("ln", "bias"), ("k_k", "weight"),
                               ("k_a", "weight"), ("r_k", "weight"))
        }  # fmt: skip
        for norm in ("attn_norm", "attn_norm_2"):
            found |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
        for part in ("w", "a", "v"):
            found |= {
                f"time_mix_{part}0.weight": (width,),
                f"time_mix_{part}1.weight": (rank, width),
                f"time_mix_{part}2.weight": (width, rank),
            }
        for part in ("key", "value", "receptance", "output"):
            found[f"time_mix_{part}.weight"] = (width, width)
        return found | {
            "time_mix_g1.weight": (rank, width),
            "time_mix_g2.weight": (width, rank),
            "time_mix_lerp_fused.weight": (6, 1, 1, width),
            "channel_mix_lerp_k.weight": (1, 1, width),
            "channel_mix_key.weight": (size.feed_forward, width),
            "channel_mix_value.weight": (width, size.feed_forward),
        }

    tensors = _ends(size) | _layers(size.layers, layer)
    for norm in ("token_embd_norm", "output_norm"):
        tensors |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    return Shape(name, "rwkv7", keys, tensors, size.vocabulary)


def bert(name: str, size: Size) -> Shape:
    """An embedding model: no cache at all."""
    keys = _base(size) | {
        "attention.layer_norm_epsilon": 1e-12, "attention.causal": False, "pooling_type": 1,
        "attention.head_count_kv": size.heads, "context_length": 512,
    }  # fmt: skip

    def layer(_: int) -> Tensors:
        square = (size.width, size.width)
        found: Tensors = {
            **{f"attn_{part}.weight": square for part in ("q", "k", "v", "output")},
            **{f"attn_{part}.bias": (size.width,) for part in ("q", "k", "v", "output")},
            "ffn_up.weight": (size.feed_forward, size.width),
            "ffn_up.bias": (size.feed_forward,),
            "ffn_down.weight": (size.width, size.feed_forward),
            "ffn_down.bias": (size.width,),
        }
        for norm in ("attn_output_norm", "layer_output_norm"):
            found |= {f"{norm}.weight": (size.width,), f"{norm}.bias": (size.width,)}
        return found

    tensors: Tensors = {
        "token_embd.weight": (size.vocabulary, size.width),
        "token_types.weight": (2, size.width),
        "position_embd.weight": (512, size.width),
        "token_embd_norm.weight": (size.width,),
        "token_embd_norm.bias": (size.width,),
        **_layers(size.layers, layer),
    }
    general = {"tokenizer.ggml.token_type_count": 2}
    return Shape(name, "bert", keys, tensors, size.vocabulary, general=general)
