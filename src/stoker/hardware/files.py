"""Small files in which a kernel says what there is."""

from pathlib import Path


def text_of(path: Path) -> str:
    """What is in it, without blanks around; empty where it is missing or cannot be read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def number_of(path: Path) -> int | None:
    """The number that is all there is in it."""
    text = text_of(path)
    return int(text) if text.isdigit() else None
