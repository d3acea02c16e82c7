"""Says on a terminal what we are waiting for, when it takes longer than a second."""

import shutil
import sys
import threading
from types import TracebackType
from typing import Final, Self, final

from stoker.cli.errors import printable

_PATIENCE: Final = 1.0
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVERY: Final = 0.1


@final
class Spinner:
    """`with Spinner("loading model") as spinner:` draws until `stop` or the end of the block.

    `text` may change meanwhile.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Erase it and draw no more; may be called twice."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _draw(self) -> None:
        if self._over.wait(_PATIENCE):
            return
        frame = 0
        while not self._over.wait(_EVERY):
            # A longer line would wrap, and each frame leave one behind.
            text = printable(self.text)[: shutil.get_terminal_size().columns - 3]
            sys.stderr.write(f"\r{_FRAMES[frame % len(_FRAMES)]} {text} \x1b[K")
            sys.stderr.flush()
            frame += 1
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
