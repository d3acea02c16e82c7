"""Sizes and durations as Docker prints them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.base import units
from stoker.base.errors import InvalidSetting


@pytest.mark.parametrize(
    ("count", "decimal", "binary"),
    [
        (0, "0.00B", "0.00B"),
        (999, "999.00B", "999.00B"),
        (1000, "1.00kB", "1000.00B"),
        (1024, "1.02kB", "1.00KiB"),
        (270_610_000, "270.61MB", "258.07MiB"),
        (999_999, "1.00MB", "976.56KiB"),
        (95_100_000, "95.10MB", "90.69MiB"),
    ],
)
def test_sizes(count: int, decimal: str, binary: str) -> None:
    assert units.decimal_size(count) == decimal
    assert units.binary_size(count) == binary


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0.00"), (361_820_000, "361.82M"), (7_000_000_000, "7.00B")]
)
def test_parameter_counts(count: int, shown: str) -> None:
    assert units.parameter_count(count) == shown


DAY = 86_400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (700 * DAY, "23 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_for_people(seconds: float, words: str) -> None:
    assert units.human_duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("0", 0),
        ("90", 90),
        ("1.5h", 5400),
        ("-1", math.inf),
        ("-1m", math.inf),
        ("0s", 0),
    ],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5 minutes", "m", "1h 30m", "--1", "1d", "nan", "inf", "1e9", "9" * 20, "9" * 400]
)
def test_other_texts_are_refused_with_a_hint(text: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        units.parse_duration(text)
    assert caught.value.hint


@given(st.integers(0, 10**7))
def test_what_is_printed_is_read_back(seconds: int) -> None:
    assert units.parse_duration(units.go_duration(seconds)) == seconds
