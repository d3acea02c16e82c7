"""Lines out of bytes, however the bytes are cut."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.engines.logs import MAX_LINE, TAIL_LINES, LineTail


def lines_of(*chunks: bytes) -> list[str]:
    seen: list[str] = []
    tail = LineTail(seen.append)
    for chunk in chunks:
        tail.feed(chunk)
    tail.finish()
    tail.finish()
    assert tail.lines == tuple(seen[-TAIL_LINES:])
    return seen


def test_lines_across_chunks() -> None:
    assert lines_of(b"one\ntw", b"o\r\n\n", b"three") == ["one", "two", "three"]


def test_a_character_cut_in_two() -> None:
    assert lines_of(b"caf\xc3", b"\xa9\n", b"\xff\n") == ["café", "\ufffd"]


def test_an_endless_line_is_cut() -> None:
    seen = lines_of(*[b"x" * 1000] * 100)
    assert max(map(len, seen)) == MAX_LINE
    assert len(seen) >= 6


def test_only_the_last_lines_are_kept() -> None:
    tail = LineTail(lambda _line: None)
    tail.feed(b"".join(b"%d\n" % number for number in range(1000)))
    assert tail.lines == tuple(str(number) for number in range(1000 - TAIL_LINES, 1000))


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abé\n", max_size=9)), st.integers(1, 7))
def test_the_cut_does_not_matter(texts: list[str], size: int) -> None:
    data = "".join(texts).encode()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert lines_of(*chunks) == lines_of(data)
