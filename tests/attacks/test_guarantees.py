"""docs/guarantees.md: six promises, each with tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()
ROWS = [line.strip("|").split("|") for line in TEXT.splitlines() if re.match(r"\| \d \|", line)]


def test_all_six_are_there() -> None:
    assert [row[0].strip() for row in ROWS] == list("123456")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]).strip())
def test_each_names_tests_that_exist(row: list[str]) -> None:
    _, promise, tests, inputs, result = (cell.strip() for cell in row)
    assert promise.endswith(".")
    assert inputs
    assert result
    named = re.findall(r"`([^`]+\.py[^`]*)`", tests)
    assert len(named) >= 2
    for name in named:
        path, _, function = name.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert re.search(rf"def {function}\b" if function else r"def test_|TestCase", text), name
