"""Tiny models with random weights that real llama.cpp loads and runs, and files it must refuse.

Everything is made here, in milliseconds, with the `gguf` package; nothing is downloaded. The chat
model writes random printable ASCII and practically never ends by itself, so that a stream lasts as
long as a test needs.
"""

import struct
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from gguf import GGUFWriter, TokenType

CONTEXT: Final = 4096
WIDTH: Final = 64
LAYERS: Final = 2
HEADS: Final = 2

CHAT_TEMPLATE: Final = (
    "{%- for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n"
    "{%- endfor %}{%- if add_generation_prompt %}<|start|>assistant\n{%- endif %}"
)


def chat_model(
    path: Path,
    *,
    architecture: str = "llama",
    title: str = "tiny chat",
    template: str = CHAT_TEMPLATE,
    width: int = WIDTH,
    feed_forward: int = 0,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
) -> Path:
    """A llama of two layers with a byte-level BPE tokenizer and a chat template; 0.3 MiB.

    `width`, and `feed_forward` when it is another one, are the lengths of rows; `kind` is what
    matrices are written as.
    """
    feed_forward = feed_forward or width
    tokens = ["<|end|>", "<|start|>", *_byte_alphabet()]
    writer = GGUFWriter(path, architecture)
    _describe(writer, name=title, width=width, feed_forward=feed_forward, kind=kind)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * 2 + [TokenType.NORMAL] * 256)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_chat_template(template)
    random = np.random.default_rng(7)
    embedding = random.standard_normal((len(tokens), width), dtype=np.float32)
    output = random.standard_normal((len(tokens), width), dtype=np.float32) / 8
    # The first component of every hidden state is large and positive; through it the output layer
    # forbids what is not printable ASCII, half a character would be no UTF-8.
    embedding[:, 0] = 8.0
    printable = {chr(code) for code in range(33, 127)}
    output[:, 0] = [0.0 if token in printable else -50.0 for token in tokens]
    _matrix(writer, "token_embd.weight", embedding, kind)
    _matrix(writer, "output.weight", output, kind)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    shapes = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width)),
        **dict.fromkeys(("ffn_gate", "ffn_up"), (feed_forward, width)),
        "ffn_down": (width, feed_forward),
    }
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(width, np.float32))
        for name, shape in shapes.items():
            _random_tensor(writer, random, f"blk.{layer}.{name}.weight", shape, kind)
    return _written(writer, path)


def embedding_model(path: Path) -> Path:
    """A BERT of two layers with mean pooling and a WordPiece tokenizer over single letters."""
    return _bert(path, gguf.PoolingType.MEAN)


def reranking_model(path: Path) -> Path:
    """The same with a head that scores a pair of texts."""
    return _bert(path, gguf.PoolingType.RANK)


def _bert(path: Path, pooling: gguf.PoolingType) -> Path:
    letters = [chr(code) for code in range(33, 127)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # llama.cpp's convention: a word begins with U+2581, a continuation loses its "##".
    tokens = [*special, *("\u2581" + letter for letter in letters), *letters]
    writer = GGUFWriter(path, "bert")
    _describe(writer, name="tiny embedding", context=512)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(pooling)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * 5 + [TokenType.NORMAL] * (2 * len(letters)))
    writer.add_token_type_count(2)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(4)
    random = np.random.default_rng(7)
    _random_tensor(writer, random, "token_embd.weight", (len(tokens), WIDTH))
    _random_tensor(writer, random, "token_types.weight", (2, WIDTH))
    _random_tensor(writer, random, "position_embd.weight", (512, WIDTH))
    _norm(writer, "token_embd_norm")
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
            _random_tensor(writer, random, f"blk.{layer}.{name}.weight", (WIDTH, WIDTH))
            writer.add_tensor(f"blk.{layer}.{name}.bias", np.zeros(WIDTH, np.float32))
        for name in ("attn_output_norm", "layer_output_norm"):
            _norm(writer, f"blk.{layer}.{name}")
    if pooling is gguf.PoolingType.RANK:
        writer.add_array("bert.classifier.output_labels", ["LABEL_0"])
        _random_tensor(writer, random, "cls.weight", (WIDTH, WIDTH))
        writer.add_tensor("cls.bias", np.zeros(WIDTH, np.float32))
        _random_tensor(writer, random, "cls.output.weight", (1, WIDTH))
        writer.add_tensor("cls.output.bias", np.zeros(1, np.float32))
    return _written(writer, path)


def bad_models(folder: Path) -> dict[str, Path]:
    """Files that are no usable model, by what is wrong with them."""
    folder.mkdir(parents=True, exist_ok=True)
    good = chat_model(folder / "good.gguf").read_bytes()
    wrong_version = good[:4] + struct.pack("<I", 99) + good[8:]
    contents = {
        "truncated tensors": good[: len(good) // 2],
        "truncated header": good[:1500],
        "garbage": b"not a model at all " * 1000,
        "html": b"<html><body>404 not found</body></html>",
        "empty": b"",
        "wrong version": wrong_version,
        "missing tensors": _patched(good, "llama.block_count", LAYERS + 3),
        "no heads": _patched(good, "llama.attention.head_count", 0),
    }
    paths = {}
    for name, content in contents.items():
        paths[name] = folder / f"{name.replace(' ', '-')}.gguf"
        paths[name].write_bytes(content)
    paths["unknown architecture"] = chat_model(folder / "arch.gguf", architecture="zebra9")
    paths["missing"] = folder / "missing.gguf"
    return paths


_F32: Final = gguf.GGMLQuantizationType.F32
_FILE_TYPES: Final = {
    _F32: gguf.LlamaFileType.ALL_F32,
    gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16,
    gguf.GGMLQuantizationType.BF16: gguf.LlamaFileType.MOSTLY_BF16,
    gguf.GGMLQuantizationType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
}


def _describe(
    writer: GGUFWriter,
    *,
    name: str,
    context: int = CONTEXT,
    width: int = WIDTH,
    feed_forward: int = WIDTH,
    kind: gguf.GGMLQuantizationType = _F32,
) -> None:
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(HEADS)


def _random_tensor(
    writer: GGUFWriter,
    random: np.random.Generator,
    name: str,
    shape: tuple[int, int],
    kind: gguf.GGMLQuantizationType = _F32,
) -> None:
    # A hundredth: the layers only disturb what the embedding says, see `chat_model`.
    _matrix(writer, name, random.standard_normal(shape, dtype=np.float32) / 100, kind)


def _matrix(
    writer: GGUFWriter,
    name: str,
    values: np.ndarray[Any, Any],
    kind: gguf.GGMLQuantizationType,
) -> None:
    if kind is _F32:
        writer.add_tensor(name, values)
    else:
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)


def _norm(writer: GGUFWriter, name: str) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))


def _written(writer: Any, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _patched(model: bytes, key: str, value: int) -> bytes:
    """The same file with another value in one uint32 field of its metadata."""
    at = model.index(key.encode()) + len(key) + 4  # the key, then four bytes of type
    return model[:at] + struct.pack("<I", value) + model[at + 4 :]


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [chr(byte if byte in shown else next(hidden)) for byte in range(256)]
