"""The header of a safetensors file.

Follows the format's README and its reference reader: 8 bytes of length, that many bytes of JSON,
then one buffer that the tensors tile without holes or overlap.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from stoker.base.errors import ParseError, Unfamiliar
from stoker.formats.need import Cursor, Parser

MAX_HEADER: Final = 100_000_000
"""Bytes; the reference reader's own limit ("to prevent DDoS")."""
MAX_TENSORS: Final = 1 << 18
"""The most are some 140,000: experts that were never merged, and their scales."""
MAX_PAIRS: Final = 8 * MAX_TENSORS
"""Colons in the JSON, four for each tensor: counted before anything is decoded, because a hostile
header of 100 MB would otherwise become gigabytes of objects."""
MAX_RANK: Final = 32
"""Dimensions; more than any framework supports (NumPy 64, torch 64, real tensors 5)."""
MAX_BYTES: Final = (1 << 63) - 1
"""Of the buffer, and of any product of dimensions."""
MAX_TOTAL: Final = MAX_HEADER + (1 << 20)
"""What `need.run` may read for one header; the default there is meant for GGUF."""

# Bits per element. F4, F6 and F8_E8M0 came with microscaling formats in 2025.
DTYPE_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U16": 16, "I16": 16, "F16": 16,
        "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "C64": 64, "U64": 64, "I64": 64, "F64": 64,
    }
)  # fmt: skip

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `start` counts from the buffer, sizes in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """All of a safetensors file but its weights. Offsets and sizes in bytes."""

    metadata: Mapping[str, str]
    tensors: tuple[Tensor, ...]
    """In the order of the buffer."""
    data_offset: int
    needed_size: int
    """Exactly as many bytes the file has."""

    @property
    def weights_size(self) -> int:
        """Of the buffer."""
        return self.needed_size - self.data_offset


class _WireTensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def safetensors_header(*, file_size: int | None = None) -> Parser[SafetensorsHeader]:
    """Parser of a safetensors header. With `file_size` in bytes the buffer is checked against it.

    Run it with `max_bytes=MAX_TOTAL`. Raises ParseError.
    """
    cursor = Cursor("safetensors", file_size=file_size)
    yield from cursor.fill(_LENGTH.size)
    length = int(cursor.unpack(_LENGTH)[0])
    if length > MAX_HEADER:
        raise ParseError(
            f"safetensors: header of {length} bytes, at most {MAX_HEADER} are read", offset=0
        )
    yield from cursor.fill(length)
    text = cursor.take(length)
    data_offset = _LENGTH.size + length
    metadata, tensors = _decoded(text)
    end = _check_tiling(tensors, data_offset)
    if file_size is not None and file_size != data_offset + end:
        raise ParseError(
            f"safetensors: the file has {file_size} bytes, its header describes"
            f" {data_offset + end}",
            offset=min(file_size, data_offset + end),
            hint="the file is incomplete or damaged; fetch it again",
        )
    return SafetensorsHeader(metadata, tensors, data_offset, data_offset + end)


def _decoded(text: bytes) -> tuple[Mapping[str, str], tuple[Tensor, ...]]:
    if not text.startswith(b"{"):
        raise ParseError("not a safetensors file: its header does not begin with '{'", offset=8)
    if text.count(b":") > MAX_PAIRS:
        raise ParseError(f"safetensors: header with more than {MAX_PAIRS} entries", offset=8)
    try:
        # A name given twice: the last one counts, as for the reference reader.
        entries = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        found = entries.pop("__metadata__", msgspec.Raw(b"null"))
        metadata = msgspec.json.decode(found, type=dict[str, str] | None) or {}
        if len(entries) > MAX_TENSORS:
            raise ParseError(
                f"safetensors: {len(entries)} tensors, at most {MAX_TENSORS} are read", offset=8
            )
        wire = {name: msgspec.json.decode(raw, type=_WireTensor) for name, raw in entries.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"safetensors: header: {error}", offset=8) from error
    tensors = [_tensor(name, entry) for name, entry in wire.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.size))
    return MappingProxyType(metadata), tuple(tensors)


def _tensor(name: str, wire: _WireTensor) -> Tensor:
    bits = DTYPE_BITS.get(wire.dtype)
    if bits is None:
        raise Unfamiliar(
            f"safetensors: tensor {name!r} has the unknown type {wire.dtype!r}", offset=8
        )
    if len(wire.shape) > MAX_RANK:
        raise ParseError(f"safetensors: tensor {name!r} has {len(wire.shape)} dimensions", offset=8)
    elements = 1
    for length in wire.shape:
        elements *= length
        if length < 0 or elements > MAX_BYTES:
            raise ParseError(f"safetensors: tensor {name!r} has the shape {wire.shape}", offset=8)
    start, end = wire.data_offsets
    if not 0 <= start <= end <= MAX_BYTES:
        raise ParseError(f"safetensors: tensor {name!r} lies from {start} to {end}", offset=8)
    if (end - start) * 8 != elements * bits:
        raise ParseError(
            f"safetensors: tensor {name!r} has {end - start} bytes,"
            f" {wire.dtype} {wire.shape} needs {elements * bits / 8:g}",
            offset=8,
        )
    return Tensor(name, wire.dtype, tuple(wire.shape), elements, start, end - start)


def _check_tiling(tensors: tuple[Tensor, ...], data_offset: int) -> int:
    """Each tensor begins where the one before ended. Returns where the last one ends."""
    end = 0
    for tensor in tensors:
        if tensor.start != end:
            fault = "overlaps another one" if tensor.start < end else "leaves a hole before it"
            raise ParseError(
                f"safetensors: tensor {tensor.name!r} {fault}", offset=data_offset + tensor.start
            )
        end = tensor.start + tensor.size
    return end
