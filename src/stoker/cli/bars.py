"""Horizontal bars for a terminal, in eighths of a character."""

import shutil
from collections.abc import Iterator, Sequence
from typing import Final

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_FULL: Final = "█"
# On a wide screen longer bars say no more.
_WIDEST: Final = 60
_NARROWEST: Final = 8


def bars(rows: Sequence[tuple[str, float, str]]) -> Iterator[str]:
    """A line for each (label, value, text of the value); the greatest value fills the width."""
    if not rows:
        return
    left = max(len(label) for label, _, _ in rows)
    right = max(len(text) for _, _, text in rows)
    room = shutil.get_terminal_size().columns - left - right - 3
    width = max(min(room, _WIDEST), _NARROWEST)
    most = max(value for _, value, _ in rows) or 1.0
    for label, value, text in rows:
        eighths = round(8 * width * value / most)
        bar = _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        yield f"{label:>{left}} {bar} {text}"
