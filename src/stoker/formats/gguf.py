"""The header of a GGUF file, versions 2 and 3.

Follows docs/gguf.md of ggml and, where ggml's reader is stricter, the reader: what an engine would
refuse or crash on is refused here, before a process is started. Every number of the header is
checked before it is used as a length, and nothing is allocated from one.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from stoker.base.errors import ParseError, Unfamiliar
from stoker.formats.ggufvalues import Value, ValueType, read_name, read_type, read_value
from stoker.formats.need import Cursor, Parser
from stoker.formats.quant import TENSOR_TYPES, TensorType

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
DEFAULT_ALIGNMENT: Final = 32

MAX_KEYS: Final = 4096
"""Real files have fewer than a hundred."""
MAX_TENSORS: Final = 1 << 17
"""The most are 46,000: 60 layers of 256 experts whose tensors were never merged."""
MAX_KEY: Final = (1 << 16) - 1
"""Bytes; the standard's own limit."""
MAX_TENSOR_NAME: Final = 127
"""Bytes; ggml allows 63, builds of it for images 127."""
MAX_DIMENSIONS: Final = 4
"""GGML_MAX_DIMS."""
MAX_ELEMENTS: Final = (1 << 63) - 1
"""Of a tensor, and its bytes: ggml counts both in int64."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the tensor table.

    `shape` is in ggml's order, the contiguous dimension first; `offset` counts from the data.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int
    elements: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """All of a GGUF file but its weights. Offsets and sizes in bytes."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    alignment: int
    data_offset: int
    needed_size: int
    """The file is complete when it has at least this many bytes."""

    @property
    def weights_size(self) -> int:
        """Of all tensors, without padding."""
        return sum(tensor.size for tensor in self.tensors)


_HEAD = struct.Struct("<4sIQQ")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_TYPE_OFFSET = struct.Struct("<IQ")


def gguf_header(*, file_size: int | None = None) -> Parser[GgufHeader]:
    """Parser of a GGUF header. With `file_size` in bytes a truncated file is found out.

    Raises ParseError with the offset of what does not hold.
    """
    cursor = Cursor("gguf", file_size=file_size)
    yield from cursor.fill(_HEAD.size)
    magic, version, tensor_count, key_count = cursor.unpack(_HEAD)
    _check_head(magic, version, tensor_count, key_count)
    metadata: dict[str, Value] = {}
    alignment = DEFAULT_ALIGNMENT
    for _ in range(key_count):
        at = cursor.position
        key = yield from read_name(cursor, MAX_KEY, "key")
        if key in metadata:
            raise ParseError(f"gguf: key {key!r} appears twice", offset=at)
        kind = yield from read_type(cursor)
        value = yield from read_value(cursor, kind)
        metadata[key] = value
        if key == "general.alignment":
            alignment = _alignment(kind, value, at)
    tensors: dict[str, Tensor] = {}
    for _ in range(tensor_count):
        at = cursor.position
        tensor = yield from _tensor(cursor, alignment)
        if tensor.name in tensors:
            raise ParseError(f"gguf: tensor {tensor.name!r} appears twice", offset=at)
        tensors[tensor.name] = tensor
    table = tuple(tensors.values())
    data_offset = _padded(cursor.position, alignment)
    needed = cursor.position
    if table:
        needed = data_offset + _check_layout(table, data_offset, alignment)
        _check_size(needed, file_size)
    return GgufHeader(version, MappingProxyType(metadata), table, alignment, data_offset, needed)


def _check_head(magic: bytes, version: int, tensor_count: int, key_count: int) -> None:
    if magic != MAGIC:
        raise ParseError(f"not a GGUF file: it begins with {magic!r}, not {MAGIC!r}", offset=0)
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        kind = "a big-endian file" if swapped in VERSIONS else f"version {version}"
        raise Unfamiliar(f"gguf: {kind} is not supported, only versions 2 and 3", offset=4)
    if tensor_count > MAX_TENSORS:
        raise ParseError(f"gguf: {tensor_count} tensors, at most {MAX_TENSORS} are read", offset=8)
    if key_count > MAX_KEYS:
        raise ParseError(f"gguf: {key_count} keys, at most {MAX_KEYS} are read", offset=16)


def _alignment(kind: ValueType, value: Value, at: int) -> int:
    if kind is not ValueType.UINT32 or not isinstance(value, int):
        raise ParseError("gguf: general.alignment is not a uint32", offset=at)
    if value == 0 or value & (value - 1):
        raise ParseError(f"gguf: alignment {value} is not a power of two", offset=at)
    return value


def _tensor(cursor: Cursor, alignment: int) -> Parser[Tensor]:
    name = yield from read_name(cursor, MAX_TENSOR_NAME, "tensor name")
    at = cursor.position
    yield from cursor.fill(4)
    rank = cursor.unpack(_U32)[0]
    if rank > MAX_DIMENSIONS:
        raise ParseError(
            f"gguf: tensor {name!r} has {rank} dimensions, at most {MAX_DIMENSIONS}", offset=at
        )
    yield from cursor.fill(rank * 8 + _TYPE_OFFSET.size)
    shape = tuple(int(cursor.unpack(_U64)[0]) for _ in range(rank))
    number, offset = cursor.unpack(_TYPE_OFFSET)
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        raise Unfamiliar(
            f"gguf: tensor {name!r} has the unknown type {number}",
            offset=at,
            hint="removed from ggml, or newer than this version of Stoker",
        )
    if offset % alignment:
        raise ParseError(
            f"gguf: tensor {name!r} at {offset}, not a multiple of {alignment}", offset=at
        )
    elements = _elements(name, shape, at)
    row = shape[0] if shape else 1
    if row % kind.block:
        raise ParseError(
            f"gguf: tensor {name!r} has rows of {row}, {kind.name} needs multiples of {kind.block}",
            offset=at,
        )
    size = kind.row_bytes(elements)
    if size > MAX_ELEMENTS or offset > MAX_ELEMENTS:
        raise ParseError(f"gguf: tensor {name!r} is larger than any file", offset=at)
    return Tensor(name, shape, kind, offset, elements, size)


def _elements(name: str, shape: tuple[int, ...], at: int) -> int:
    elements = 1
    for length in shape:
        elements *= length
        if not 0 < elements <= MAX_ELEMENTS:
            raise ParseError(f"gguf: tensor {name!r} has the shape {list(shape)}", offset=at)
    return elements


def _check_layout(tensors: tuple[Tensor, ...], data_offset: int, alignment: int) -> int:
    """Tensors lie in the order of the table, without a hole. Returns where the last one ends."""
    end = 0
    for tensor in tensors:
        place = _padded(end, alignment)
        if tensor.offset != place:
            raise ParseError(
                f"gguf: tensor {tensor.name!r} at {tensor.offset}, not at {place} where the one"
                " before ends",
                offset=data_offset + place,
            )
        end = tensor.offset + tensor.size
    return end


def _check_size(needed: int, file_size: int | None) -> None:
    if file_size is not None and file_size < needed:
        raise ParseError(
            f"gguf: the file has {file_size} bytes, its tensors need {needed}",
            offset=file_size,
            hint="the file is incomplete; fetch it again",
        )


def _padded(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
