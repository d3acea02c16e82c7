"""Progress of an installation: one line per step, redrawn on a terminal while it goes on."""

import shutil
import sys
import time
from collections.abc import Iterable
from typing import Final, final

from stoker.cli.errors import printable, say
from stoker.wire.manage import Progress

_EVERY: Final = 10
"""Percent between two lines where nothing can be redrawn."""


def show(records: Iterable[Progress]) -> str:
    """Render until the records end; the closing message. stderr gets everything."""
    final_message = ""
    lines = _Steps(live=sys.stderr.isatty())
    try:
        for record in records:
            if record.type == "success":
                final_message = record.message
            else:
                lines.update(record.message, record.layer.current, record.layer.size)
    finally:
        lines.close()
    return final_message


@final
class _Steps:
    """`live`: a terminal, on which the line of the current step can be drawn over."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._step = ""
        self._began = 0.0
        self._said = 0

    def update(self, message: str, current: int, size: int) -> None:
        step = message.rpartition(": ")[0] if size else message
        if step != self._step:
            self.close()
            self._step, self._began, self._said = step, time.monotonic(), 0
            if not self._live:
                say(printable(step))
        if self._live:
            self._draw(f"{step}{self._tail(current, size)}")
        elif size and current - self._said >= _EVERY:
            self._said = current
            say(printable(message))

    def close(self) -> None:
        """Leave the last step's line as it is."""
        if self._live and self._step:
            seconds = int(time.monotonic() - self._began)
            self._draw(f"{self._step}, done in {seconds // 60}:{seconds % 60:02}" if seconds else
                       self._step)  # fmt: skip
            say("")
        self._step = ""

    def _tail(self, current: int, size: int) -> str:
        if not size:
            return " ..."
        gone = time.monotonic() - self._began
        left = int(gone / current * (size - current)) if current else 0
        clock = f", {left // 60}:{left % 60:02} left" if left else ""
        return f"  {100 * current // size} %{clock}"

    def _draw(self, text: str) -> None:
        columns = shutil.get_terminal_size().columns
        sys.stderr.write(f"\r\x1b[K{printable(text)[: columns - 1]}")
        sys.stderr.flush()
