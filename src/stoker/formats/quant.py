"""Tensor types of ggml, quantization names, and the file-name rules of model files.

Block sizes follow ggml's own table (`ggml_blck_size`, `ggml_type_size`), file types `llama_ftype`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from stoker.base.errors import ParseError


@dataclass(frozen=True, slots=True)
class TensorType:
    """One ggml type: `block` elements take `size` bytes."""

    id: int
    name: str
    block: int
    size: int

    def row_bytes(self, elements: int) -> int:
        """Bytes of a row; `elements` is a multiple of the block."""
        return elements // self.block * self.size

    @property
    def bits_per_weight(self) -> float:
        """Of one element, scales included."""
        return self.size * 8 / self.block


# Types 4, 5, 31-33 and 36-38 were removed from ggml: no current engine reads them.
TENSOR_TYPES: Final[Mapping[int, TensorType]] = MappingProxyType(
    {
        number: TensorType(number, name, block, size)
        for number, name, block, size in (
            (0, "F32", 1, 4), (1, "F16", 1, 2), (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20),
            (6, "Q5_0", 32, 22), (7, "Q5_1", 32, 24), (8, "Q8_0", 32, 34), (9, "Q8_1", 32, 36),
            (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110), (12, "Q4_K", 256, 144),
            (13, "Q5_K", 256, 176), (14, "Q6_K", 256, 210), (15, "Q8_K", 256, 292),
            (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98),
            (19, "IQ1_S", 256, 50), (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110),
            (22, "IQ2_S", 256, 82), (23, "IQ4_XS", 256, 136), (24, "I8", 1, 1), (25, "I16", 1, 2),
            (26, "I32", 1, 4), (27, "I64", 1, 8), (28, "F64", 1, 8), (29, "IQ1_M", 256, 56),
            (30, "BF16", 1, 2), (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66),
            (39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18),
            (42, "Q2_0", 64, 18),
        )
    }
)  # fmt: skip

TYPE_BY_NAME: Final[Mapping[str, TensorType]] = MappingProxyType(
    {kind.name.lower(): kind for kind in TENSOR_TYPES.values()}
)

FILE_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
        11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
        17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
        23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
        29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
        39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
    }
)  # fmt: skip

_GUESSED: Final = 1024
"""Flag that llama.cpp adds to a file type it worked out itself."""

UNKNOWN: Final = "unknown"
MIXED: Final = "mixed"


def quantization_name(file_type: int | None, elements: Mapping[str, int]) -> str:
    """`Q4_K_M` and the like: `general.file_type` when known, else the type of most weights.

    `elements` counts the weights of each tensor type.
    """
    if file_type is not None:
        named = FILE_TYPES.get(file_type & ~_GUESSED)
        if named:
            return named
    return max(elements, key=lambda name: elements[name]) if elements else UNKNOWN


MAX_TEMPLATE: Final = 1024 * 1024
"""Bytes of a chat template; the longest real ones have 20 KB. An engine parses whatever it gets."""

MAX_SHARDS: Final = 10_000
"""The largest published models have some hundred shards; bounds the list made from a file name."""

_SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.(?P<kind>[^.]+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard's file name says; `number` counts from 1."""

    prefix: str
    number: int
    count: int
    kind: str


def shard_of(name: str) -> Shard | None:
    """`model-00002-of-00003.gguf` taken apart; None for any other name."""
    found = _SHARD.fullmatch(name)
    if not found:
        return None
    shard = Shard(found["prefix"], int(found["number"]), int(found["count"]), found["kind"])
    return shard if 1 <= shard.number <= shard.count else None


def shard_names(name: str) -> list[str]:
    """All shards of the set `name` belongs to, in order; just `name` when it is no shard.

    Raises ParseError for a set larger than MAX_SHARDS.
    """
    shard = shard_of(name)
    if shard is None:
        return [name]
    if shard.count > MAX_SHARDS:
        raise ParseError(f"{name}: {shard.count} shards, at most {MAX_SHARDS} are read")
    return [
        f"{shard.prefix}-{number:05d}-of-{shard.count:05d}.{shard.kind}"
        for number in range(1, shard.count + 1)
    ]


class FileClass(StrEnum):
    """What a file of a model repository is for."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    DDUF = "dduf"
    CHAT_TEMPLATE = "chat_template"
    LICENSE = "license"
    CONFIG = "config"
    UNKNOWN = "unknown"


_LICENSE_WORDS = ("license", "licence", "copying", "notice")
_CONFIG_SUFFIXES = (".md", ".txt", ".json", ".vocab")


def file_class(name: str) -> FileClass:
    """By the last part of the path, as Docker Model Runner does; the first rule that fits wins."""
    lower = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    for weights in (FileClass.GGUF, FileClass.SAFETENSORS, FileClass.DDUF):
        if lower.endswith(f".{weights}"):
            return weights
    if lower.endswith(".jinja") or "chat_template" in lower:
        return FileClass.CHAT_TEMPLATE
    if any(word in lower for word in _LICENSE_WORDS):
        return FileClass.LICENSE
    if lower.endswith(_CONFIG_SUFFIXES) or lower == "tokenizer.model":
        return FileClass.CONFIG
    return FileClass.UNKNOWN


def is_projector(name: str) -> bool:
    """Whether a GGUF's name marks it as the image or audio part of another model."""
    return file_class(name) is FileClass.GGUF and "mmproj" in name.lower()
