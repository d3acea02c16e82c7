"""Whatever the bytes, the safetensors parser gives a header or a ParseError; and what it takes, the
reference package takes too. STOKER_FUZZ multiplies the number of examples (default 1)."""

import json
import os
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from stoker.base.errors import ParseError
from stoker.formats.hfconfig import parse_hfconfig
from stoker.formats.need import run
from stoker.formats.safetensors import (
    DTYPE_BITS,
    MAX_TOTAL,
    SafetensorsHeader,
    safetensors_header,
)
from stoker.formats.safetensorsfacts import facts_of_safetensors
from stoker.planner.describe import model_config_of
from tests.formats.files import reader_of, report

FUZZ = int(os.environ.get("STOKER_FUZZ", "1"))
tried = {"inputs": 0, "parsed": 0, "refused": 0, "stricter than the reference": 0}
more = settings(
    max_examples=300 * FUZZ, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="module", autouse=True)
def counted() -> Iterator[None]:
    yield
    report(f"\nsafetensors fuzz: {tried}")


def reference_takes(data: bytes) -> bool:
    try:
        deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError:
        return False
    return True


def attempt(data: bytes) -> SafetensorsHeader | None:
    tried["inputs"] += 1
    parser = safetensors_header(file_size=len(data))
    try:
        header = run(parser, reader_of(data), max_bytes=MAX_TOTAL)
    except ParseError:
        tried["refused"] += 1
        tried["stricter than the reference"] += reference_takes(data)
        return None
    tried["parsed"] += 1
    model_config_of(facts_of_safetensors([header]))
    assert reference_takes(data)
    return header


def build(header: Any, buffer: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + buffer


VALID = build(
    {
        "__metadata__": {"format": "pt"},
        "model.layers.0.w": {"dtype": "F16", "shape": [4, 2], "data_offsets": [0, 16]},
        "lm_head.weight": {"dtype": "I8", "shape": [3], "data_offsets": [16, 19]},
    },
    bytes(19),
)


@more
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    attempt(data)
    attempt(struct.pack("<Q", len(data)) + data)


@more
@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.binary(max_size=4)), max_size=3))
def test_mutated_valid_file(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(VALID)
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    attempt(bytes(data))


NUMBER = st.one_of(
    st.integers(0, 40), st.sampled_from([-1, 1 << 31, 1 << 62, 1 << 63, 1 << 64, 1 << 70])
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BITS, "F128"]),
        "shape": st.lists(NUMBER, max_size=4),
        "data_offsets": st.lists(NUMBER, min_size=1, max_size=3),
    }
)


@more
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), ENTRY), st.integers(0, 80))
def test_structured_lies(header: dict[str, Any], size: int) -> None:
    attempt(build(header, bytes(size)))


@st.composite
def tiled(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A header that holds, in any order of names."""
    at = 0
    header: dict[str, Any] = {}
    for name in draw(st.permutations(["a", "b", "c", "d"])):
        dtype = draw(st.sampled_from(sorted(DTYPE_BITS)))
        shape = [*draw(st.lists(st.integers(0, 5), max_size=3)), 8]
        elements = 1
        for length in shape:
            elements *= length
        size = elements * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return header, at


@more
@given(tiled())
def test_what_holds_is_taken(made: tuple[dict[str, Any], int]) -> None:
    header, size = made
    parsed = attempt(build(header, bytes(size)))
    assert parsed is not None
    assert {tensor.name for tensor in parsed.tensors} == set(header)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)
CONFIG_KEYS = st.sampled_from(
    ["num_hidden_layers", "num_attention_heads", "hidden_size", "layer_types", "text_config",
     "max_position_embeddings", "quantization_config", "architectures", "auto_map", "kv_lora_rank"]
)  # fmt: skip


@more
@given(st.one_of(st.binary(max_size=60), st.dictionaries(CONFIG_KEYS, JSON).map(json.dumps)))
def test_any_config_json(data: bytes | str) -> None:
    tried["inputs"] += 1
    raw = data.encode() if isinstance(data, str) else data
    header = run(safetensors_header(), reader_of(VALID), max_bytes=MAX_TOTAL)
    try:
        facts_of_safetensors([header], parse_hfconfig(raw))
    except ParseError:
        tried["refused"] += 1
