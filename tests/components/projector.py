"""A projector with random weights, and a picture: what a multimodal model needs to see anything."""

import base64
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFWriter

PATCHES: Final = 4
"""A side of the picture in patches; gemma3's projector pools them 4 by 4 into one token."""
_PATCH: Final = 14
_WIDTH: Final = 64
_LAYERS: Final = 2


def projector(path: Path, width: int) -> Path:
    """The vision half of a model whose embeddings are `width` long, in Gemma 3's form; 0.4 MiB."""
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_file_type(0)
    writer.add_bool("clip.has_vision_encoder", val=True)
    writer.add_bool("clip.use_gelu", val=True)
    writer.add_string("clip.projector_type", "gemma3")
    numbers = {
        "image_size": PATCHES * _PATCH,
        "patch_size": _PATCH,
        "embedding_length": _WIDTH,
        "feed_forward_length": 2 * _WIDTH,
        "block_count": _LAYERS,
        "attention.head_count": 4,
        "projection_dim": width,
    }
    for name, number in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for name in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{name}", [0.5, 0.5, 0.5])
    random = np.random.default_rng(11)
    for name, shape in _shapes(width).items():
        weights = random.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5)
        writer.add_tensor(name, np.ones(shape, np.float32) if "norm" in name else weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (_WIDTH, 3, _PATCH, _PATCH),
        "v.patch_embd.bias": (_WIDTH,),
        "v.position_embd.weight": (PATCHES**2, _WIDTH),
        "v.post_ln.weight": (_WIDTH,),
        "v.post_ln.bias": (_WIDTH,),
        "mm.input_projection.weight": (_WIDTH, width),
        "mm.soft_emb_norm.weight": (_WIDTH,),
    }
    for layer in range(_LAYERS):
        block = f"v.blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            shapes |= {
                f"{block}.{part}.weight": (_WIDTH, _WIDTH),
                f"{block}.{part}.bias": (_WIDTH,),
            }
        for part in ("ln1", "ln2"):
            shapes |= {f"{block}.{part}.weight": (_WIDTH,), f"{block}.{part}.bias": (_WIDTH,)}
        shapes |= {
            f"{block}.ffn_up.weight": (2 * _WIDTH, _WIDTH),
            f"{block}.ffn_up.bias": (2 * _WIDTH,),
            f"{block}.ffn_down.weight": (_WIDTH, 2 * _WIDTH),
            f"{block}.ffn_down.bias": (_WIDTH,),
        }
    return shapes


def picture() -> str:
    """A small red PNG, in base64."""
    side = 16
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\0\0" * side) * side
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    data += _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
