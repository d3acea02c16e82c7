from collections.abc import Callable

import pytest

from stoker.base.errors import ParseError
from stoker.formats.need import FIRST_WINDOW, MAX_WINDOW, Cursor, Need, Parser, run, run_async


def pieces(*lengths: int, file_size: int | None = None) -> Parser[list[bytes]]:
    cursor = Cursor("test", file_size=file_size)
    found = []
    for length in lengths:
        if length < 0:
            cursor.skip(-length)
            continue
        yield from cursor.fill(length)
        found.append(cursor.take(length))
    return found


def recorder(data: bytes, reads: list[tuple[int, int]]) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        reads.append((offset, length))
        return data[offset : offset + length]

    return read


DATA = bytes(range(256)) * 4096


def test_windows_grow_and_bytes_come_in_order() -> None:
    reads: list[tuple[int, int]] = []
    found = run(pieces(*[1000] * 1000), recorder(DATA, reads))
    assert b"".join(found) == DATA[:1_000_000]
    assert [length for _, length in reads] == [FIRST_WINDOW * 2**n for n in range(4)] + [
        FIRST_WINDOW * 16
    ]


def test_a_skip_is_not_read() -> None:
    reads: list[tuple[int, int]] = []
    found = run(pieces(10, -1_000_000, 10), recorder(DATA, reads))
    assert found == [DATA[:10], DATA[1_000_010:1_000_020]]
    assert reads == [(0, FIRST_WINDOW), (1_000_010, FIRST_WINDOW * 2)]


def test_a_known_end_is_not_read_past() -> None:
    reads: list[tuple[int, int]] = []
    assert run(pieces(100, file_size=100), recorder(DATA, reads)) == [DATA[:100]]
    assert reads == [(0, 100)]
    with pytest.raises(ParseError) as caught:
        run(pieces(101, file_size=100), recorder(DATA, reads))
    assert caught.value.offset == 100
    with pytest.raises(ParseError):
        run(pieces(-101, file_size=100), recorder(DATA, reads))


def test_windows_stay_bounded_for_one_long_wish() -> None:
    data = bytes(3 * MAX_WINDOW)
    reads: list[tuple[int, int]] = []
    assert run(pieces(len(data)), recorder(data, reads)) == [data]
    assert max(length for _, length in reads) == MAX_WINDOW


def test_budget_of_bytes_and_of_reads() -> None:
    with pytest.raises(ParseError):
        run(pieces(FIRST_WINDOW), lambda _, n: bytes(n), max_bytes=FIRST_WINDOW - 1)
    with pytest.raises(ParseError):
        run(pieces(10, -(10**9), 10), lambda _, n: bytes(n), max_reads=1)


def test_more_than_asked_is_refused() -> None:
    with pytest.raises(ParseError):
        run(pieces(10), lambda _, n: bytes(n + 1))


def test_a_failing_read_closes_the_parser() -> None:
    closed = []

    def parser() -> Parser[None]:
        try:
            yield Need(0, 1)
        finally:
            closed.append(True)

    def read(_offset: int, _length: int) -> bytes:
        raise OSError(5, "disk")

    with pytest.raises(OSError, match="disk"):
        run(parser(), read)
    assert closed == [True]


async def test_the_same_parser_runs_on_awaited_reads() -> None:
    async def read(offset: int, length: int) -> bytes:
        return DATA[offset : offset + length]

    assert await run_async(pieces(10, -5, 10), read) == [DATA[:10], DATA[15:25]]
    with pytest.raises(ParseError):
        await run_async(pieces(10), read, max_reads=0)
