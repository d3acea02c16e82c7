"""Models for vLLM in the shape of real ones: random weights as safetensors, pilot's tokenizer."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import save_file

_PILOT: Final = Path(__file__).parents[1] / "models" / "pilot" / "weights"
_BESIDE: Final = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")

WIDTH: Final = 768
LAYERS: Final = 12
HEADS: Final = 12
FEED_FORWARD: Final = 2560
VOCABULARY: Final = 3072


def hundred_million(folder: Path) -> Path:
    """A llama of 100 million parameters in float16, 200 MB; the directory, which is made."""
    folder.mkdir()
    for name in _BESIDE:
        shutil.copy(_PILOT / name, folder)
    config = json.loads((_PILOT / "config.json").read_text())
    config |= {
        "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "head_dim": WIDTH // HEADS,
        "intermediate_size": FEED_FORWARD, "vocab_size": VOCABULARY,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    random = np.random.default_rng(7)
    tensors = {
        name: np.ones(shape, np.float16)
        if len(shape) == 1
        else (random.standard_normal(shape, np.float32) / 50).astype(np.float16)
        for name, shape in _shapes()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (VOCABULARY, WIDTH)
    yield "model.norm.weight", (WIDTH,)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}.{norm}.weight", (WIDTH,)
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"{prefix}.self_attn.{part}.weight", (WIDTH, WIDTH)
        for part in ("gate_proj", "up_proj"):
            yield f"{prefix}.mlp.{part}.weight", (FEED_FORWARD, WIDTH)
        yield f"{prefix}.mlp.down_proj.weight", (WIDTH, FEED_FORWARD)
