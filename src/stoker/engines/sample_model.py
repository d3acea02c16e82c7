"""A model of random numbers in safetensors, made in milliseconds: proof that an engine serves.

Two layers of a llama, a tokenizer whose tokens are the 256 bytes, a chat template. Whatever it
answers is noise; that it answers is the point.
"""

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

WIDTH: Final = 64
LAYERS: Final = 2
HEADS: Final = 2
CONTEXT: Final = 512
_SPECIAL: Final = ("<|end|>", "<|start|>")
_VOCABULARY: Final = 256 + len(_SPECIAL)

_TEMPLATE: Final = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def write_sample(folder: Path, *, seed: int = 7) -> Path:
    """Write the model into a directory, which is made; the directory. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("config.json", _config()),
        ("tokenizer.json", _tokenizer()),
        ("tokenizer_config.json", _tokenizer_config()),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(_weights(random.Random(seed)))  # noqa: S311  # noise
    return folder


def _config() -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": WIDTH // HEADS,
        "vocab_size": _VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 0,
    }


def _tokenizer() -> dict[str, object]:
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    # GPT-2's printable stand-ins for the bytes, in byte order.
    alphabet = [chr(byte if byte in shown else next(hidden)) for byte in range(256)]
    vocabulary = {token: number for number, token in enumerate((*_SPECIAL, *alphabet))}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    added = [
        {
            "id": number, "content": token, "special": True, "normalized": False,
            "lstrip": False, "rstrip": False, "single_word": False,
        }
        for number, token in enumerate(_SPECIAL)
    ]  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }


def _tokenizer_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|end|>",
        "bos_token": "<|start|>",
        "model_max_length": CONTEXT,
        "chat_template": _TEMPLATE,
    }


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (_VOCABULARY, WIDTH)
    yield "lm_head.weight", (_VOCABULARY, WIDTH)
    yield "model.norm.weight", (WIDTH,)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}.{norm}.weight", (WIDTH,)
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"{prefix}.self_attn.{part}.weight", (WIDTH, WIDTH)
        for part in ("gate_proj", "up_proj", "down_proj"):
            yield f"{prefix}.mlp.{part}.weight", (WIDTH, WIDTH)


def _weights(numbers: random.Random) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    at = 0
    for name, shape in _shapes():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = (1.0 if "norm" in name else numbers.gauss(0, 0.1) for _ in range(count))
        # bfloat16 is the upper half of a float32.
        part = b"".join(struct.pack("<f", value)[2:] for value in values)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
