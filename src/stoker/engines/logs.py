"""The last lines an engine wrote, and each line to whoever listens."""

from collections import deque
from collections.abc import Callable
from typing import Final

TAIL_LINES: Final = 200
"""llama.cpp writes some 200 lines from start to ready; its reasons for failing come last."""

MAX_LINE: Final = 4096
"""Characters kept of one line: an engine may print a whole prompt or template."""

_MAX_PENDING: Final = 4 * MAX_LINE  # bytes; UTF-8 needs up to four for a character


class LineTail:
    """Cuts a byte stream into lines; keeps the last ones and passes each to `listener`."""

    def __init__(self, listener: Callable[[str], None]) -> None:
        self._listener = listener
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._pending = b""

    @property
    def lines(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self._lines)

    def feed(self, data: bytes) -> None:
        """Take what was read. An endless line is cut where it exceeds its limit."""
        *whole, pending = (self._pending + data).split(b"\n")
        for line in whole:
            self._emit(line)
        while len(pending) > _MAX_PENDING:
            self._emit(pending[:_MAX_PENDING])
            pending = pending[_MAX_PENDING:]
        self._pending = pending

    def finish(self) -> None:
        """The stream has ended; what is left is a line too."""
        if self._pending:
            self._emit(self._pending)
            self._pending = b""

    def _emit(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()[:MAX_LINE]
        if line:
            self._lines.append(line)
            self._listener(line)
