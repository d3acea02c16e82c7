"""Model files for tests, written by the formats' own reference packages."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

from stoker.formats.gguf import GgufHeader, gguf_header
from stoker.formats.need import run


def report(text: str) -> None:
    """A figure for whoever runs `pytest -s`."""
    sys.stdout.write(f"{text}\n")


def reader_of(data: bytes) -> Callable[[int, int], bytes]:
    """A `read` for `need.run` over bytes in memory."""
    return lambda offset, length: data[offset : offset + length]


def parse(data: bytes, *, whole: bool = True) -> GgufHeader:
    """The header in these bytes; `whole` tells the parser where the file ends."""
    return run(gguf_header(file_size=len(data) if whole else None), reader_of(data))


def raw_tensor(shape: Sequence[int], kind: GGMLQuantizationType) -> np.ndarray[Any, Any]:
    """Zeros of a type, rows first, as GGUFWriter wants them."""
    if kind is GGMLQuantizationType.F32:
        return np.zeros(shape, np.float32)
    if kind is GGMLQuantizationType.F16:
        return np.zeros(shape, np.float16)
    block, size = GGML_QUANT_SIZES[kind]
    return np.zeros((*shape[:-1], shape[-1] // block * size), np.uint8)


def write_gguf(
    path: Path,
    architecture: str,
    fill: Callable[[GGUFWriter], None],
    tensors: Mapping[str, tuple[Sequence[int], GGMLQuantizationType]],
) -> Path:
    """A GGUF file of zeros. `fill` adds the metadata."""
    writer = GGUFWriter(path, architecture)
    fill(writer)
    for name, (shape, kind) in tensors.items():
        writer.add_tensor(name, raw_tensor(shape, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def small_llama(path: Path, *, layers: int = 2, vocabulary: int = 300) -> Path:
    """A complete little llama with a tokenizer and a chat template."""
    f32, q8 = GGMLQuantizationType.F32, GGMLQuantizationType.Q8_0
    tensors: dict[str, tuple[Sequence[int], GGMLQuantizationType]] = {
        "token_embd.weight": ((vocabulary, 64), q8),
        "output_norm.weight": ((64,), f32),
    }
    for layer in range(layers):
        tensors |= {
            f"blk.{layer}.attn_norm.weight": ((64,), f32),
            f"blk.{layer}.attn_q.weight": ((64, 64), q8),
            f"blk.{layer}.attn_k.weight": ((32, 64), q8),
            f"blk.{layer}.attn_v.weight": ((32, 64), q8),
            f"blk.{layer}.attn_output.weight": ((64, 64), q8),
            f"blk.{layer}.ffn_norm.weight": ((64,), f32),
            f"blk.{layer}.ffn_gate.weight": ((128, 64), q8),
            f"blk.{layer}.ffn_up.weight": ((128, 64), q8),
            f"blk.{layer}.ffn_down.weight": ((64, 128), q8),
        }

    def fill(writer: GGUFWriter) -> None:
        writer.add_name("small")
        writer.add_file_type(7)
        writer.add_context_length(4096)
        writer.add_embedding_length(64)
        writer.add_block_count(layers)
        writer.add_feed_forward_length(128)
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"t{number}" for number in range(vocabulary)])
        writer.add_token_types([1] * vocabulary)
        writer.add_chat_template("{{ messages }}")

    return write_gguf(path, "llama", fill, tensors)
