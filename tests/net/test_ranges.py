"""Parts of content: what is asked for, and what counts as granted."""

from hypothesis import given
from hypothesis import strategies as st

from stoker.net.ranges import Span


@given(st.integers(-5, 15), st.none() | st.integers(-5, 15))
def test_spans_stay_within_the_content(at: int, length: int | None) -> None:
    span = Span.of(10, at, length)
    assert 0 <= span.start <= span.end <= 10 or span.is_empty


@given(st.text(max_size=40))
def test_content_ranges_are_granted_only_when_exact(text: str) -> None:
    assert not Span(2, 10, 10).granted_by(text)


def test_content_ranges() -> None:
    span = Span(2, 10, 10)
    assert span.header == "bytes=2-"
    assert Span(2, 5, 10).header == "bytes=2-4"
    assert span.granted_by("bytes 2-9/10")
    assert span.granted_by("bytes 2-9/*")
    for wrong in ("bytes 1-9/10", "bytes 2-8/10", "bytes 2-9/11", "bytes */10", None, "2-9/10"):
        assert not span.granted_by(wrong)
