"""`config.json` of a Hugging Face repository: the shape of a model kept as safetensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from stoker.base.errors import ParseError

MAX_CONFIG: Final = 100 * 1024 * 1024
"""Bytes; Docker Model Runner's limit. Real ones have a few KB."""

MAX_NUMBER: Final = (1 << 31) - 1
"""Counts and lengths of a model's shape; larger ones are taken as absent."""

CONTEXT_KEYS: Final = (
    "max_position_embeddings", "n_ctx", "n_positions", "max_length", "max_sequence_length",
    "model_max_length",
)  # fmt: skip
"""In Docker Model Runner's order, which is that of llama.cpp's converter."""

# Where multimodal models keep the language model's shape.
_INNER = ("text_config", "llm_config", "language_config")
_NO_CONFIG: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class HfConfig:
    """Lengths in elements or tokens; 0 or empty where the file is silent."""

    architectures: tuple[str, ...] = ()
    model_type: str = ""
    dtype: str = ""
    layers: int = 0
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    embedding_length: int = 0
    feed_forward: int = 0
    vocabulary: int = 0
    context_size: int | None = None
    sliding_window: int = 0
    layer_types: tuple[str, ...] = ()
    """`full_attention`, `sliding_attention`, `linear_attention`, ...: one for each layer."""
    experts: int = 0
    experts_used: int = 0
    latent_rank: int = 0
    """Of the compressed keys and values (MLA)."""
    rope_dims: int = 0
    """Elements kept beside the compressed ones (MLA)."""
    tied_embeddings: bool = False
    encoder: bool = False
    """Sees all tokens at once, as far as the file tells."""
    quantization_method: str = ""
    has_code: bool = False
    """Asks for Python code of the repository to be run (`auto_map`)."""
    multimodal: bool = False


def parse_hfconfig(data: bytes) -> HfConfig:
    """Decode `config.json`. Raises ParseError; a key of the wrong type counts as absent."""
    if len(data) > MAX_CONFIG:
        raise ParseError(f"config.json: {len(data)} bytes, at most {MAX_CONFIG} are read")
    try:
        outer = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"config.json: {error}") from error
    inner = next((outer[key] for key in _INNER if isinstance(outer.get(key), dict)), _NO_CONFIG)
    both = {**outer, **inner}
    heads = _first(both, "num_attention_heads", "n_head", "n_heads")
    embedding = _first(both, "hidden_size", "n_embd", "d_model")
    quantized = outer.get("quantization_config") or both.get("quantization_config")
    return HfConfig(
        architectures=_words(outer.get("architectures")),
        model_type=_word(outer.get("model_type")),
        dtype=_word(both.get("dtype")) or _word(both.get("torch_dtype")),
        layers=_first(both, "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        heads=heads,
        kv_heads=_kv_heads(both) or heads,
        head_dim=_first(both, "head_dim") or (embedding // heads if heads else 0),
        embedding_length=embedding,
        feed_forward=_first(both, "intermediate_size", "n_inner", "ffn_dim"),
        vocabulary=_first(both, "vocab_size"),
        context_size=_first(outer, *CONTEXT_KEYS) or _first(inner, *CONTEXT_KEYS) or None,
        sliding_window=_sliding_window(both),
        layer_types=_words(both.get("layer_types")),
        experts=_first(both, "num_local_experts", "num_experts", "n_routed_experts"),
        experts_used=_first(both, "num_experts_per_tok", "moe_topk"),
        latent_rank=_first(both, "kv_lora_rank"),
        rope_dims=_first(both, "qk_rope_head_dim"),
        tied_embeddings=both.get("tie_word_embeddings") is True,
        encoder=_is_encoder(both),
        quantization_method=_word(quantized.get("quant_method"))
        if isinstance(quantized, dict)
        else "",
        has_code=_has_code(outer) or _has_code(inner),
        multimodal=bool(inner) or "vision_config" in outer,
    )


def _first(config: Mapping[str, Any], *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_NUMBER:
            return value
    return 0


def _kv_heads(config: Mapping[str, Any]) -> int:
    # Falcon's number is another one then; ChatGLM calls heads groups.
    if config.get("multi_query") is True and not config.get("new_decoder_architecture"):
        return 1
    return _first(
        config, "num_key_value_heads", "n_head_kv", "num_kv_heads", "multi_query_group_num"
    )


def _is_encoder(config: Mapping[str, Any]) -> bool:
    """Only decoders have heads that share keys and values, but for those made to look both ways."""
    both_ways = config.get("is_causal") is False or config.get("use_bidirectional_attention")
    return bool(both_ways) or not _kv_heads(config)


def _sliding_window(config: Mapping[str, Any]) -> int:
    # Qwen 2 names a window that it does not use.
    return 0 if config.get("use_sliding_window") is False else _first(config, "sliding_window")


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(word for word in value if isinstance(word, str))


def _has_code(config: Mapping[str, Any]) -> bool:
    return bool(config.get("auto_map")) or bool(config.get("custom_pipelines"))
