"""Retry-After and the waiting rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.net.retry import RetryPolicy, is_transient, parse_retry_after

# 2026-11-21 03:00:00 UTC
NOW = 1795230000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sat, 21 Nov 2026 03:01:00 GMT", 60.0),
        ("Saturday, 21-Nov-26 03:01:00 GMT", 60.0),
        ("Sat Nov 21 03:01:00 2026", 60.0),
        ("Sat, 21 Nov 2026 02:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 40, None),
        ("\u0663", None),  # a digit, but not ASCII
    ],
)
def test_forms(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@given(st.text(max_size=100), st.floats(0, 4e9))
def test_any_text_is_none_or_a_time_to_come(text: str, now: float) -> None:
    seconds = parse_retry_after(text, now=now)
    assert seconds is None or seconds >= 0


def test_waits_grow_and_end() -> None:
    policy = RetryPolicy(attempts=4, base=1.0, cap=3.0, total=100.0)

    def waits(retry_after: float | None = None, waited: float = 0.0) -> list[float | None]:
        return [
            policy.wait(n, waited=waited, retry_after=retry_after, chance=lambda: 1.0)
            for n in range(1, 5)
        ]

    assert waits() == [1.0, 2.0, 3.0, None]
    assert waits(retry_after=60.0) == [60.1, 60.2, 60.3, None]
    assert waits(retry_after=3600.0) == [None] * 4
    assert waits(waited=99.5) == [None] * 4


@given(st.integers(1, 50), st.floats(0, 1000), st.none() | st.floats(0, 1e9), st.floats(0, 1))
def test_never_waits_longer_than_the_total(
    attempt: int, waited: float, retry_after: float | None, chance: float
) -> None:
    policy = RetryPolicy()
    pause = policy.wait(attempt, waited=waited, retry_after=retry_after, chance=lambda: chance)
    assert pause is None or 0 <= pause + waited <= policy.total
    assert pause is None or retry_after is None or pause >= retry_after


def test_transient() -> None:
    assert {s for s in range(100, 600) if is_transient(s)} == {429, 500, 502, 503, 504}
