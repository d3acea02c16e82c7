"""Progress of a pull or push: bars on a terminal, lines in a file or a pipe."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from stoker.base.units import decimal_size
from stoker.cli.errors import printable, say
from stoker.wire.manage import Progress

# A log wants to see that it goes on, not every megabyte.
_LINE_EVERY: Final = 1.0
_DRAW_EVERY: Final = 0.1
_BAR: Final = 24
# The rate is over this many seconds, so that it follows a change but does not jump.
_WINDOW: Final = 5.0


def show(records: Iterable[Progress]) -> str:
    """Render until the records end; the closing message. stderr gets everything."""
    final = ""
    with _renderer() as renderer:
        for record in records:
            if record.type == "warning":
                renderer.note(f"Warning: {record.message}")
            elif record.type == "success":
                final = record.message
            else:
                renderer.update(record)
    return final


class _Lines:
    """Docker Model Runner's line per update, but not hundreds of them per second."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def note(self, text: str) -> None:
        say(printable(text))

    def update(self, record: Progress) -> None:
        if record.layer.id is msgspec.UNSET:
            self.note(record.message)
            return
        now = time.monotonic()
        done = record.layer.current >= record.layer.size
        if not done and now - self._last.get(record.layer.id, 0.0) < _LINE_EVERY:
            return
        self._last[record.layer.id] = now
        word = "Uploaded" if record.mode == "push" else "Downloaded"
        say(f"{word} {decimal_size(record.layer.current)} of {decimal_size(record.layer.size)}")

    def close(self) -> None:
        """Nothing is left open."""


class _Layer:
    """One bar. Samples are (time, bytes) of the last seconds."""

    def __init__(self) -> None:
        self.size = 0
        self.current = 0
        self.samples: list[tuple[float, int]] = []

    def move(self, size: int, current: int, now: float) -> None:
        self.size, self.current = size, current
        self.samples = [s for s in self.samples if now - s[0] <= _WINDOW] or self.samples[-1:]
        self.samples.append((now, current))

    @property
    def rate(self) -> float:
        (began, first), (now, last) = self.samples[0], self.samples[-1]
        return (last - first) / (now - began) if now > began else 0.0


class _Bars:
    """One line per layer, redrawn in place."""

    def __init__(self) -> None:
        self._layers: dict[str, _Layer] = {}
        self._drawn = 0
        self._next = 0.0
        self._verb = "Downloading"

    def note(self, text: str) -> None:
        self._erase()
        say(printable(text))
        self._draw()

    def update(self, record: Progress) -> None:
        if record.layer.id is msgspec.UNSET:
            self.note(record.message)
            return
        self._verb = "Uploading" if record.mode == "push" else "Downloading"
        now = time.monotonic()
        layer = self._layers.setdefault(record.layer.id, _Layer())
        layer.move(record.layer.size, record.layer.current, now)
        if now >= self._next or layer.current >= layer.size:
            self._next = now + _DRAW_EVERY
            self._erase()
            self._draw()

    def close(self) -> None:
        self._erase()
        self._draw()

    def _erase(self) -> None:
        if self._drawn:
            # Up to the first of our lines, then clear from there to the end of the screen.
            sys.stderr.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        """What is complete is printed for good; only the rest is redrawn, as far as it fits."""
        done = [name for name, layer in self._layers.items() if layer.current >= layer.size]
        lines = [self._line(name, self._layers.pop(name)) for name in done]
        columns, rows = shutil.get_terminal_size()
        # Longer lines would wrap, more would scroll: neither can be erased by going up.
        moving = [*self._layers.items()][: rows - 2]
        lines += [self._line(name, layer)[: columns - 1] for name, layer in moving]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(moving)

    def _line(self, name: str, layer: _Layer) -> str:
        short = name.removeprefix("sha256:")[:12]
        sizes = f"{decimal_size(layer.current)}/{decimal_size(layer.size)}"
        if layer.current >= layer.size:
            verb = "Push complete" if self._verb == "Uploading" else "Pull complete"
            return f"{short}: {verb} {decimal_size(layer.size)}"
        filled = _BAR * layer.current // max(layer.size, 1)
        bar = "=" * filled + ">" + " " * (_BAR - filled)
        return f"{short}: {self._verb} [{bar}] {sizes}{_speed(layer)}"


def _speed(layer: _Layer) -> str:
    rate = layer.rate
    if rate <= 0:
        return ""
    left = int((layer.size - layer.current) / rate)
    clock = (
        f"{left // 60}:{left % 60:02}" if left < 3600 else f"{left // 3600}h{left // 60 % 60:02}"
    )
    return f"  {decimal_size(int(rate))}/s  {clock} left"


@contextmanager
def _renderer() -> Iterator[_Lines | _Bars]:
    renderer: _Lines | _Bars = _Bars() if sys.stderr.isatty() else _Lines()
    try:
        yield renderer
    finally:
        renderer.close()
