"""The reference page says what the program does."""

from pathlib import Path

from stoker.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"


def test_the_page_is_current() -> None:
    again = "run: python -m stoker.cli.reference > docs/reference/cli.md"
    assert PAGE.read_text(encoding="utf-8") == reference(), again
