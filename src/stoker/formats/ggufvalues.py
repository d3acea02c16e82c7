"""Values in the header of a GGUF file: names, numbers, strings and arrays.

Strangers wrote them: no length is believed, and what is too long to be of use is passed over.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from stoker.base.errors import ParseError
from stoker.formats.need import Cursor, Parser

MAX_ITEMS: Final = 1 << 24
"""Of an array; the longest real ones are merges, about 2^20."""
MAX_STRING: Final = 1 << 26
"""Bytes; embedded tokenizer.json files reach 30 MB. Strings above KEPT_STRING are passed over."""
KEPT_STRING: Final = 1 << 20
"""Bytes; chat templates, the longest text anyone wants, have some 100 KB."""
KEPT_NUMBERS: Final = 1024
"""Numeric arrays up to here are kept: one entry per layer, and llama.cpp has at most 512 layers."""
KEPT_STRINGS: Final = 50
"""String arrays up to here are kept; longer ones are vocabularies."""
MAX_DEPTH: Final = 2
"""Array of arrays at most. ggml refuses even those; the standard allows any depth."""
MAX_NESTED: Final = 1024
"""Items of an array of arrays: each costs a step even when it is empty."""


class ValueType(IntEnum):
    """`gguf_metadata_value_type`."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata. `items` is None when it was too long to keep."""

    item_type: ValueType
    count: int
    items: "tuple[Value, ...] | None"


@dataclass(frozen=True, slots=True)
class LongText:
    """A string too long to keep; `length` in bytes."""

    length: int


Value: TypeAlias = bool | int | float | str | Array | LongText


_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_SCALARS: Final[Mapping[ValueType, struct.Struct]] = {
    ValueType.UINT8: struct.Struct("<B"),
    ValueType.INT8: struct.Struct("<b"),
    ValueType.UINT16: struct.Struct("<H"),
    ValueType.INT16: struct.Struct("<h"),
    ValueType.UINT32: _U32,
    ValueType.INT32: struct.Struct("<i"),
    ValueType.FLOAT32: struct.Struct("<f"),
    ValueType.BOOL: struct.Struct("<B"),
    ValueType.UINT64: _U64,
    ValueType.INT64: struct.Struct("<q"),
    ValueType.FLOAT64: struct.Struct("<d"),
}


def _length(cursor: Cursor, limit: int, what: str) -> Parser[int]:
    at = cursor.position
    yield from cursor.fill(8)
    length = int(cursor.unpack(_U64)[0])
    if length > limit:
        raise ParseError(f"gguf: {what} of {length} bytes, at most {limit} are read", offset=at)
    return length


def read_name(cursor: Cursor, limit: int, what: str) -> Parser[str]:
    """A key or the name of a tensor: must be UTF-8, because other things are looked up by it."""
    length = yield from _length(cursor, limit, what)
    at = cursor.position
    yield from cursor.fill(length)
    try:
        return cursor.take(length).decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"gguf: a {what} is not UTF-8", offset=at) from error


def read_type(cursor: Cursor) -> Parser[ValueType]:
    """Of the value that follows. Raises ParseError for one that the standard does not have."""
    at = cursor.position
    yield from cursor.fill(4)
    number = cursor.unpack(_U32)[0]
    try:
        return ValueType(number)
    except ValueError as error:
        raise ParseError(f"gguf: unknown value type {number}", offset=at) from error


def read_value(cursor: Cursor, kind: ValueType, *, depth: int = 0) -> Parser[Value]:
    """`depth`: how many arrays it lies in. Raises ParseError."""
    if kind is ValueType.STRING:
        return (yield from _text(cursor))
    if kind is ValueType.ARRAY:
        return (yield from _array(cursor, depth=depth + 1))
    form = _SCALARS[kind]
    at = cursor.position
    yield from cursor.fill(form.size)
    value: int | float = cursor.unpack(form)[0]
    return _bool(value, at) if kind is ValueType.BOOL else value


def _bool(value: float, at: int) -> bool:
    if value not in {0, 1}:
        raise ParseError(f"gguf: boolean with the value {value}", offset=at)
    return bool(value)


def _text(cursor: Cursor) -> Parser[str | LongText]:
    length = yield from _length(cursor, MAX_STRING, "string")
    if length > KEPT_STRING:
        cursor.skip(length)
        return LongText(length)
    yield from cursor.fill(length)
    # Values are shown to people, never looked up: a bad byte must not make a model unusable.
    return cursor.take(length).decode(errors="replace")


def _array(cursor: Cursor, *, depth: int) -> Parser[Array]:
    at = cursor.position
    if depth > MAX_DEPTH:
        raise ParseError(f"gguf: arrays nested more than {MAX_DEPTH} deep", offset=at)
    kind = yield from read_type(cursor)
    yield from cursor.fill(8)
    count = int(cursor.unpack(_U64)[0])
    limit = MAX_NESTED if kind is ValueType.ARRAY else MAX_ITEMS
    if count > limit:
        raise ParseError(f"gguf: array of {count} items, at most {limit} are read", offset=at)
    if kind is ValueType.STRING and count > KEPT_STRINGS:
        yield from _skip_strings(cursor, count)
        return Array(kind, count, None)
    if kind in _SCALARS:
        return (yield from _numbers(cursor, kind, count))
    items: list[Value] = []
    for _ in range(count):
        items.append((yield from read_value(cursor, kind, depth=depth)))  # noqa: PERF401  # yields
    return Array(kind, count, tuple(items))


def _numbers(cursor: Cursor, kind: ValueType, count: int) -> Parser[Array]:
    form = _SCALARS[kind]
    if count > KEPT_NUMBERS:
        cursor.skip(count * form.size)
        return Array(kind, count, None)
    at = cursor.position
    yield from cursor.fill(count * form.size)
    values = [found[0] for found in form.iter_unpack(cursor.take(count * form.size))]
    if kind is ValueType.BOOL:
        values = [_bool(value, at) for value in values]
    return Array(kind, count, tuple(values))


def _skip_strings(cursor: Cursor, count: int) -> Parser[None]:
    """Pass over a vocabulary. The hot loop of every parse: works on whole windows."""
    while count:
        yield from cursor.fill(8)
        passed, stopped_at = cursor.skip_prefixed(count, MAX_STRING)
        if stopped_at is not None:
            limit = f"gguf: a string of more than {MAX_STRING} bytes"
            raise ParseError(limit, offset=stopped_at)
        count -= passed
