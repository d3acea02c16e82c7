"""Models in the shape of real ones, with random blocks for weights: right in size, work and memory.

What they answer is noise; how fast they do it is what the real one does. Written in seconds,
nothing is downloaded or quantized.
"""

from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter, TokenType

WIDTH: Final = 2048
LAYERS: Final = 16
HEADS: Final = 32
KV_HEADS: Final = 8
FEED_FORWARD: Final = 8192
VOCABULARY: Final = 32000
CONTEXT: Final = 32768

QUANTS: Final = ("Q4_0", "Q8_0", "Q4_K_M")

# Bytes of a block, its elements, and where its float16 scales are.
_BLOCKS: Final = {
    Kind.Q4_0: (18, 32, (0,)),
    Kind.Q8_0: (34, 32, (0,)),
    Kind.Q4_K: (144, 256, (0, 2)),
    Kind.Q6_K: (210, 256, (208,)),
}


def one_billion(path: Path, quant: str) -> Path:
    """A llama with the dimensions of Llama 3.2 1B and a vocabulary of 32000; 0.6 to 1.1 GiB."""
    writer = GGUFWriter(path, "llama")
    writer.add_name(f"shape of 1B, {quant}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    _tokenizer(writer)
    random = np.random.default_rng(7)
    mixed = quant == "Q4_K_M"
    main = {"Q4_0": Kind.Q4_0, "Q8_0": Kind.Q8_0, "Q4_K_M": Kind.Q4_K}[quant]
    better = Kind.Q6_K if mixed else main
    _tensor(writer, random, "token_embd.weight", (VOCABULARY, WIDTH), better)
    _tensor(writer, random, "output.weight", (VOCABULARY, WIDTH), better)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    narrow = WIDTH // HEADS * KV_HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH), "attn_k": (narrow, WIDTH), "attn_v": (narrow, WIDTH),
        "attn_output": (WIDTH, WIDTH), "ffn_gate": (FEED_FORWARD, WIDTH),
        "ffn_up": (FEED_FORWARD, WIDTH), "ffn_down": (WIDTH, FEED_FORWARD),
    }  # fmt: skip
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name, shape in shapes.items():
            # As llama.cpp's own mixture does: half of these two are kept more exactly.
            fine = name in ("attn_v", "ffn_down") and layer % 2 == 0
            kind = better if fine else main
            _tensor(writer, random, f"blk.{layer}.{name}.weight", shape, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tokenizer(writer: GGUFWriter) -> None:
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    alphabet = [chr(byte if byte in shown else next(hidden)) for byte in range(256)]
    tokens = ["<|end|>", "<|start|>", *alphabet]
    tokens += [f"w{number}" for number in range(VOCABULARY - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * 2 + [TokenType.NORMAL] * (VOCABULARY - 2))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def _tensor(
    writer: GGUFWriter,
    random: np.random.Generator,
    name: str,
    shape: tuple[int, int],
    kind: Kind,
) -> None:
    size, elements, scales = _BLOCKS[kind]
    rows, columns = shape
    blocks = random.integers(0, 256, (rows, columns // elements, size), dtype=np.uint8)
    scale = np.frombuffer(np.float16(0.0005).tobytes(), np.uint8)
    for at in scales:
        blocks[:, :, at : at + 2] = scale
    writer.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=kind)
