"""Whatever the bytes, the GGUF parser gives a header or a ParseError, in bounded time and memory.

STOKER_FUZZ multiplies the number of examples (default 1).
"""

import os
import struct
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stoker.base.errors import ParseError
from stoker.formats.gguf import GgufHeader, gguf_header
from stoker.formats.gguffacts import facts_of_gguf
from stoker.formats.need import run
from stoker.planner.describe import model_config_of
from stoker.planner.estimate import estimate_llamacpp
from tests.formats.files import reader_of, report, small_llama

FUZZ = int(os.environ.get("STOKER_FUZZ", "1"))
TIME_LIMIT = 2.0  # seconds for one input; the machine may be busy
MEMORY_LIMIT = 32 * 1024 * 1024  # bytes, for inputs of some KB: windows, not header numbers

tried = {"inputs": 0, "parsed": 0, "refused": 0}


@pytest.fixture(scope="module", autouse=True)
def counted() -> Iterator[None]:
    yield
    report(f"\ngguf fuzz: {tried}")


def attempt(data: bytes, *, whole: bool) -> GgufHeader | None:
    """The property itself: total, bounded, and facts of what parses are total too."""
    tried["inputs"] += 1
    start = time.perf_counter()
    try:
        header = run(gguf_header(file_size=len(data) if whole else None), reader_of(data))
        facts = facts_of_gguf(header)
        model_config_of(facts)
        assert estimate_llamacpp(facts).total_host_bytes > 0
    except ParseError as error:
        tried["refused"] += 1
        refused_at = error.offset
    else:
        tried["parsed"] += 1
        assert not whole or header.needed_size <= len(data)
        return header
    finally:
        assert time.perf_counter() - start < TIME_LIMIT
    assert refused_at is None or 0 <= refused_at < 1 << 63
    return None


def _valid() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return small_llama(Path(folder) / "m.gguf", layers=1, vocabulary=60).read_bytes()


VALID = _valid()
HEADER_END = run(gguf_header(), reader_of(VALID)).data_offset
more = settings(
    max_examples=300 * FUZZ, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@more
@given(st.binary(max_size=400), st.booleans())
def test_random_bytes(data: bytes, whole: bool) -> None:  # noqa: FBT001  # hypothesis gives it
    attempt(data, whole=whole)
    attempt(b"GGUF" + struct.pack("<I", 3) + data, whole=whole)


@more
@given(
    st.lists(
        st.tuples(st.integers(0, HEADER_END), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_mutated_valid_file(
    changes: list[tuple[int, bytes]],
    whole: bool,  # noqa: FBT001  # hypothesis gives it
) -> None:
    data = bytearray(VALID)
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    attempt(bytes(data), whole=whole)


@more
@given(st.integers(0, HEADER_END), st.integers(0, 40), st.binary(max_size=40), st.booleans())
def test_cut_and_spliced_file(
    at: int,
    removed: int,
    inserted: bytes,
    whole: bool,  # noqa: FBT001  # hypothesis gives it
) -> None:
    attempt(VALID[:at] + inserted + VALID[at + removed :], whole=whole)


LARGE = st.sampled_from(
    [0, 1, 2, 31, 50, 51, 1024, 1025, 1 << 16, 1 << 24, 1 << 26, 1 << 31, 1 << 32, 1 << 40,
     (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
)  # fmt: skip
NAME = st.sampled_from(["general.architecture", "general.alignment", "llama.block_count", "t"])
TYPE = st.integers(0, 14)


@st.composite
def lie(draw: st.DrawFn) -> bytes:
    """A header whose structure holds and whose numbers do not."""
    keys, tensors = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    parts = [
        struct.pack(
            "<4sIQQ",
            b"GGUF",
            draw(st.sampled_from([2, 3])),
            draw(st.one_of(st.just(tensors), LARGE)),
            draw(st.one_of(st.just(keys), LARGE)),
        )
    ]
    for _ in range(keys):
        name = draw(NAME).encode()
        parts.append(struct.pack("<Q", draw(st.one_of(st.just(len(name)), LARGE))) + name)
        kind = draw(TYPE)
        parts.append(struct.pack("<I", kind))
        depth = draw(st.integers(0, 4)) if kind == 9 else 0
        parts.extend(struct.pack("<IQ", draw(TYPE), draw(LARGE)) for _ in range(depth))
        parts.append(draw(st.binary(max_size=24)))
    for _ in range(tensors):
        shape = draw(st.lists(LARGE, max_size=5))
        parts.append(struct.pack("<Q1sI", 1, draw(st.sampled_from([b"a", b"b"])), len(shape)))
        parts.extend(struct.pack("<Q", length) for length in shape)
        parts.append(struct.pack("<IQ", draw(st.integers(0, 45)), draw(LARGE)))
    parts.append(bytes(draw(st.sampled_from([0, 64, 5000]))))
    return b"".join(parts)


@more
@given(lie(), st.booleans())
def test_structured_lies(data: bytes, whole: bool) -> None:  # noqa: FBT001  # hypothesis gives it
    attempt(data, whole=whole)


def test_every_single_byte_of_the_header_flipped() -> None:
    for at in range(0, HEADER_END, max(1, 3 // FUZZ)):
        data = bytearray(VALID)
        data[at] ^= 0xFF
        attempt(bytes(data), whole=True)


def test_memory_does_not_follow_the_numbers_of_the_header() -> None:
    claims = [
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + claim
        for claim in (
            struct.pack("<IQ", 8, 1 << 26),
            struct.pack("<IQ", 8, 1 << 20),
            struct.pack("<IIQ", 9, 0, 1 << 24),
            struct.pack("<IIQ", 9, 8, 1 << 24),
            struct.pack("<IIQ", 9, 9, 1 << 10),
        )
    ]
    tracemalloc.start()
    try:
        for data in claims:
            for whole in (True, False):
                attempt(data, whole=whole)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_LIMIT


@pytest.mark.parametrize("unit", [bytes(8), b"\x01" + bytes(8), b"\xff" * 8, b"GGUF"])
def test_an_endless_file_is_given_up(unit: bytes) -> None:
    """A server that never stops sending: the budget of bytes and reads ends it."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, 4096)
    strings = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 1 << 24)

    def read(offset: int, length: int) -> bytes:
        start = head + strings
        endless = unit * (length // len(unit) + 2)
        return (start[offset:] + endless)[:length]

    start = time.perf_counter()
    with pytest.raises(ParseError):
        run(gguf_header(), read)
    assert time.perf_counter() - start < 20
