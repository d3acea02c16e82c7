import itertools
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

from stoker.base.errors import ParseError
from stoker.formats.gguf import GgufHeader
from stoker.formats.ggufvalues import KEPT_NUMBERS, KEPT_STRINGS, Array, LongText, ValueType
from stoker.formats.quant import TENSOR_TYPES
from tests.formats.files import parse, report, small_llama, write_gguf

F32 = GGMLQuantizationType.F32

# What gguf-py says wrongly: a block of Q8_1 has 36 bytes in ggml since 2024.
ENGINE_SAYS = {GGMLQuantizationType.Q8_1}


def plain(value: Any) -> Any:
    return [plain(item) for item in value.items or ()] if isinstance(value, Array) else value


def assert_same(header: GgufHeader, path: Path) -> None:
    """Every key and every tensor is what the reference reader finds."""
    oracle = GGUFReader(path)
    own = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"}
    assert set(header.metadata) == set(oracle.fields) - own
    for key, value in header.metadata.items():
        field = oracle.fields[key]
        if isinstance(value, LongText):
            assert value.length == len(field.parts[-1])
        elif isinstance(value, Array) and value.items is None:
            assert value.count == len(field.data)
        elif isinstance(value, Array) and value.item_type is ValueType.ARRAY:
            continue  # the reference flattens nested arrays
        else:
            assert plain(value) == field.contents(), key
    assert [tensor.name for tensor in header.tensors] == [t.name for t in oracle.tensors]
    for mine, theirs in zip(header.tensors, oracle.tensors, strict=True):
        assert list(mine.shape) == [int(length) for length in theirs.shape]
        assert mine.type.id == theirs.tensor_type
        assert mine.elements == theirs.n_elements
        assert mine.size == theirs.n_bytes
        assert header.data_offset + mine.offset == theirs.data_offset
    assert header.needed_size <= path.stat().st_size


def test_every_tensor_type_reads_as_the_reference_does(tmp_path: Path) -> None:
    tensors = {
        f"{kind.name}.{rank}": (shape, kind)
        for kind in GGMLQuantizationType
        if kind not in ENGINE_SAYS
        for rank, shape in enumerate(((512,), (3, 512), (2, 3, 256), (2, 1, 3, 256)))
    }
    path = write_gguf(tmp_path / "types.gguf", "llama", lambda _: None, tensors)
    header = parse(path.read_bytes())
    assert_same(header, path)
    report(f"{len(header.tensors)} tensors compared")


def test_table_of_types_is_the_reference_table() -> None:
    theirs = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    mine = {number: (kind.block, kind.size) for number, kind in TENSOR_TYPES.items()}
    differing = {number for number in theirs if mine.get(number) != theirs[number]}
    assert differing == set(ENGINE_SAYS)


SCALARS = {
    GGUFValueType.UINT8: (0, 255), GGUFValueType.INT8: (-128, 127),
    GGUFValueType.UINT16: (0, 65535), GGUFValueType.INT16: (-32768, 32767),
    GGUFValueType.UINT32: (0, 2**32 - 1), GGUFValueType.INT32: (-(2**31), 2**31 - 1),
    GGUFValueType.UINT64: (0, 2**64 - 1), GGUFValueType.INT64: (-(2**63), 2**63 - 1),
    GGUFValueType.FLOAT32: (0.5, -1024.0), GGUFValueType.FLOAT64: (1e-300, 0.1),
    GGUFValueType.BOOL: (True, False), GGUFValueType.STRING: ("", "häuser 語 \x00 end"),
}  # fmt: skip
COUNTS = (1, 2, KEPT_STRINGS, KEPT_STRINGS + 1, KEPT_NUMBERS, KEPT_NUMBERS + 1)
MANY = 20_000  # strings: more than one window


def test_every_value_type_and_array_length_reads_as_the_reference_does(tmp_path: Path) -> None:
    def fill(writer: GGUFWriter) -> None:
        for kind, values in SCALARS.items():
            for number, value in enumerate(values):
                writer.add_key_value(f"s.{kind.name}.{number}", value, kind)
            more = (MANY,) if kind is GGUFValueType.STRING else ()
            for count in COUNTS + more:
                items = list(itertools.islice(itertools.cycle(values), count))
                writer.add_key_value(
                    f"a.{kind.name}.{count}", items, GGUFValueType.ARRAY, sub_type=kind
                )
        writer.add_key_value("nested", [[1, 2], [3]], GGUFValueType.ARRAY)

    path = write_gguf(tmp_path / "values.gguf", "llama", fill, {"t": ((32,), F32)})
    header = parse(path.read_bytes())
    assert_same(header, path)
    assert plain(header.metadata["nested"]) == [[1, 2], [3]]
    report(f"{len(header.metadata)} values compared")


@pytest.mark.parametrize("alignment", [8, 32, 64, 4096])
def test_alignment(tmp_path: Path, alignment: int) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_custom_alignment(alignment)

    tensors = {"a": ((33,), F32), "b": ((5, 7), F32)}
    path = write_gguf(tmp_path / "aligned.gguf", "llama", fill, tensors)
    header = parse(path.read_bytes())
    assert header.alignment == alignment
    assert_same(header, path)


def test_a_truncated_file_is_found_out_at_every_length(tmp_path: Path) -> None:
    data = small_llama(tmp_path / "m.gguf").read_bytes()
    needed = parse(data).needed_size
    assert needed <= len(data)
    parse(data[:needed])
    for length in (*range(0, 4000, 37), needed // 2, needed - 1):
        with pytest.raises(ParseError):
            parse(data[:length])
    # without knowing the size, only what lies in the header is missed
    assert parse(data[: needed - 1], whole=False).needed_size == needed


def test_a_file_without_tensors_needs_no_padding(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "empty.gguf", "llama", lambda _: None, {})
    header = parse(path.read_bytes())
    assert header.tensors == ()
    assert header.needed_size <= path.stat().st_size


def test_a_header_of_400_tensors_parses_in_milliseconds(tmp_path: Path) -> None:
    data = small_llama(tmp_path / "m.gguf", layers=44, vocabulary=2000).read_bytes()
    best = min(_timed(data) for _ in range(5))
    assert len(parse(data).tensors) == 44 * 9 + 2
    report(f"{best * 1000:.1f} ms")
    assert best < 0.03  # 3 ms on an idle machine; this one may be busy


def _timed(data: bytes) -> float:
    start = time.perf_counter()
    parse(data)
    return time.perf_counter() - start


def key(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


def head(tensors: int = 0, keys: int = 0, *, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return struct.pack("<4sIQQ", magic, version, tensors, keys)


def entry(
    name: str, shape: tuple[int, ...], kind: int, offset: int, rank: int | None = None
) -> bytes:
    table = struct.pack("<I", len(shape) if rank is None else rank)
    return (
        key(name)
        + table
        + b"".join(struct.pack("<Q", n) for n in shape)
        + struct.pack("<IQ", kind, offset)
    )


HUGE = 1 << 63
LIES = {
    "empty": b"",
    "not gguf": head(magic=b"GGML"),
    "html": b"<!DOCTYPE html><html><body>not found</body></html>",
    "version 1": head(version=1),
    "version 4": head(version=4),
    "big endian": head(version=0x03000000),
    "2^63 tensors": head(HUGE),
    "2^63 keys": head(0, HUGE),
    "string of 2^40": head(0, 1) + key("k") + struct.pack("<IQ", 8, 1 << 40),
    "string of 2^26 in a small file": head(0, 1) + key("k") + struct.pack("<IQ", 8, 1 << 26),
    "key of 2^40": head(0, 1) + struct.pack("<Q", 1 << 40),
    "key that is not utf-8": head(0, 1) + struct.pack("<Q", 1) + b"\xff" + bytes(8),
    "array of 2^63 bytes": head(0, 1) + key("k") + struct.pack("<IIQ", 9, 0, HUGE),
    "array of 2^63 strings": head(0, 1) + key("k") + struct.pack("<IIQ", 9, 8, HUGE),
    "array of 2^24 bytes in a small file": head(0, 1) + key("k")
    + struct.pack("<IIQ", 9, 0, 1 << 24),
    "array of 2^63 arrays": head(0, 1) + key("k") + struct.pack("<IIQ", 9, 9, HUGE),
    "arrays ten deep": head(0, 1) + key("k") + struct.pack("<I", 9)
    + struct.pack("<IQ", 9, 1) * 10 + struct.pack("<IQ", 0, 0),
    "value type 13": head(0, 1) + key("k") + struct.pack("<I", 13),
    "array of type 99": head(0, 1) + key("k") + struct.pack("<IIQ", 9, 99, 1),
    "boolean 2": head(0, 1) + key("k") + struct.pack("<IB", 7, 2),
    "alignment 0": head(0, 1) + key("general.alignment") + struct.pack("<II", 4, 0),
    "alignment 24": head(0, 1) + key("general.alignment") + struct.pack("<II", 4, 24),
    "alignment as text": head(0, 1) + key("general.alignment") + struct.pack("<IQ", 8, 0),
    "the same key twice": head(0, 2) + (key("k") + struct.pack("<IB", 7, 1)) * 2,
    "the same tensor twice": head(2) + entry("t", (32,), 0, 0) + entry("t", (32,), 0, 128)
    + bytes(999),
    "five dimensions": head(1) + entry("t", (1, 1, 1, 1, 1), 0, 0) + bytes(999),
    "2^32-1 dimensions": head(1) + entry("t", (), 0, 0, rank=2**32 - 1) + bytes(999),
    "dimensions overflow": head(1) + entry("t", (1 << 32, 1 << 32), 0, 0) + bytes(999),
    "a dimension of 0": head(1) + entry("t", (32, 0), 0, 0) + bytes(999),
    "bytes overflow": head(1) + entry("t", (1 << 62,), 0, 0) + bytes(999),
    "type 43": head(1) + entry("t", (32,), 43, 0) + bytes(999),
    "a removed type": head(1) + entry("t", (32,), 4, 0) + bytes(999),
    "half a block": head(1) + entry("t", (16,), 8, 0) + bytes(999),
    "a scalar of blocks": head(1) + entry("t", (), 8, 0) + bytes(999),
    "unaligned offset": head(1) + entry("t", (32,), 0, 8) + bytes(999),
    "offset past the end": head(1) + entry("t", (32,), 0, 1 << 20) + bytes(999),
    "offset 2^63": head(1) + entry("t", (32,), 0, HUGE) + bytes(999),
    "a hole": head(2) + entry("a", (32,), 0, 0) + entry("b", (32,), 0, 160) + bytes(999),
    "a hole at the start": head(1) + entry("a", (32,), 0, 32) + bytes(999),
    "not in order": head(2) + entry("a", (32,), 0, 128) + entry("b", (32,), 0, 0) + bytes(999),
    "tensors overlap": head(2) + entry("a", (32,), 0, 0) + entry("b", (32,), 0, 96) + bytes(999),
    "a tensor name of 2^40": head(1) + struct.pack("<Q", 1 << 40) + bytes(999),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused_and_the_place_is_named(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(LIES[name])
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= len(LIES[name]) + 8


@pytest.mark.parametrize("name", LIES)
def test_lies_cost_little_when_the_size_is_unknown(name: str) -> None:
    start = time.perf_counter()
    try:
        parse(LIES[name], whole=False)
    except ParseError:
        pass
    else:
        assert "small file" in name
    assert time.perf_counter() - start < 0.5
