"""How far a long piece of local work is: a line on a terminal, now and then a line in a log."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

from stoker.base.units import decimal_size
from stoker.cli.errors import say

# Work that is done sooner needs no progress.
_PATIENCE: Final = 1.0
_DRAW_EVERY: Final = 0.1
_LINE_EVERY: Final = 5.0


@final
class Meter:
    """Counts bytes of a known total (0: unknown). `add` may be called thousands of times."""

    def __init__(self, verb: str, total: int) -> None:
        self._verb = verb
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._next = self._began + _PATIENCE
        self._live = sys.stderr.isatty()
        self._drawn = False

    def add(self, count: int) -> None:
        """That many bytes more."""
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (_DRAW_EVERY if self._live else _LINE_EVERY)
            self._show(now)

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            say("\r\x1b[K", end="")

    def _show(self, now: float) -> None:
        rate = self._done / (now - self._began)
        share = f" {100 * self._done // self._total}%" if self._total else ""
        of = f" of {decimal_size(self._total)}" if self._total else ""
        text = f"{self._verb}{share}  {decimal_size(self._done)}{of}  {decimal_size(int(rate))}/s"
        if not self._live:
            say(text)
            return
        self._drawn = True
        say(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="")


@contextmanager
def meter(verb: str, total: int = 0) -> Iterator[Meter]:
    """A meter that is gone after the block."""
    shown = Meter(verb, total)
    try:
        yield shown
    finally:
        shown.close()
