"""The table in docs/attacks.md is complete, and every test it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "attacks.md").read_text().splitlines()
    if re.match(r"\| *\d+ *\|", line)
]


def test_all_attacks_have_a_row() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 26))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_named_tests_exist(row: list[str]) -> None:
    _, attack, behaviour, tests = row
    assert attack
    assert behaviour
    named = re.findall(r"`([^`]+)`", tests)
    assert named
    for name in named:
        path, _, function = name.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert re.search(rf"def {function or 'test_'}", text), name


def test_modules_here_are_named_after_their_rows() -> None:
    numbers = [row[0] for row in ROWS]
    for module in Path(__file__).parent.glob("test_[0-9]*.py"):
        number = str(int(module.name[5:7]))
        assert f"attacks/{module.name}" in ROWS[numbers.index(number)][3]
