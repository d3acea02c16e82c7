"""Events come out the same wherever the chunks end."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stoker.wire.sse import Event, SseDecoder, encode_event

STREAM = (
    b': a comment\n\nevent: first\ndata: {"a": 1}\n\ndata: two\r\ndata: lines\r\n\r\n'
    b"\n\ndata:[DONE]\n\nevent: cut\ndata: off"
)
EVENTS = [
    Event("first", b'{"a": 1}'),
    Event("", b"two\nlines"),
    Event("", b"[DONE]"),
    Event("cut", b"off"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_any_chunking_gives_the_same_events(cuts: list[int]) -> None:
    decoder = SseDecoder()
    edges = [0, *cuts, len(STREAM)]
    events = [event for a, b in pairwise(edges) for event in decoder.feed(STREAM[a:b])]
    assert events + decoder.flush() == EVENTS


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    decoder = SseDecoder()
    decoder.feed(data)
    decoder.flush()


def test_what_is_encoded_is_read_again() -> None:
    assert SseDecoder().feed(encode_event("name", b"{}")) == [Event("name", b"{}")]
