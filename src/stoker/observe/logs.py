"""Log files: one for the service, one for what each engine writes. All rotate.

Each line begins with its time, which `/logs` merges by; `observe/lines` has the two forms.
"""

import asyncio
import logging
import logging.handlers
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from stoker.observe.lines import LINES, ServiceLine

SERVICE_LOG: Final = "stoker.log"

_MAX_BYTES: Final = 16 * 1024 * 1024
_BACKUPS: Final = 2
_HOLD_SECONDS: Final = 0.1
_MAX_HELD: Final = 1000


def set_up_logging(directory: Path, *, level: str, form: str, foreground: bool) -> None:
    """Send the service's log to a file, and to standard error too when in the foreground.

    `form` is `text` or `json`.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    handlers: list[logging.Handler] = [HeldFile(directory / SERVICE_LOG, LINES[form].service())]
    if foreground:
        console = logging.StreamHandler(sys.stderr)
        console.setFormatter(LINES[form].service(stamped=False))
        handlers.append(console)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    # No line of ours says where in the code or in which thread it was written; to find that out
    # costs as much as the rest of a line (the logging cookbook's "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001
    # One line for each request is ours (RequestLog), with an id and a time.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def engine_log_file(directory: Path, engine: str) -> Path:
    """Where an engine's lines are: one that talks much does not rotate away another's."""
    return directory / f"engine-{engine}.log"


def flush_service_log() -> None:
    """Write what is held of the service's log."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class RequestLog:
    """One line of level INFO for each request that is over, wherever the service's lines go.

    Without a record of `logging` for each: that costs as much as the line itself.
    """

    def __init__(self) -> None:
        self._outputs: list[tuple[ServiceLine, Callable[[str], object]]] = []
        root = logging.getLogger()
        if not root.isEnabledFor(logging.INFO):
            return
        for handler in root.handlers:
            if not isinstance(handler.formatter, ServiceLine):
                continue
            if isinstance(handler, HeldFile):
                self._outputs.append((handler.formatter, handler.hold))
            elif isinstance(handler, logging.StreamHandler):
                self._outputs.append((handler.formatter, partial(print, file=handler.stream)))

    def __call__(self, said: str) -> None:
        """Take one line."""
        now = time.time()
        for form, take in self._outputs:
            take(form.line("INFO", "stoker.requests", said, now))


class EngineLog:
    """Where engines' lines go: `engine_log(engine, model, line)`."""

    def __init__(self, directory: Path, form: str) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._form = LINES[form]
        self._files: dict[str, HeldFile] = {}

    def __call__(self, engine: str, model: str, line: str) -> None:
        """Take one line."""
        file = self._files.get(engine)
        if file is None:
            file = self._files[engine] = HeldFile(engine_log_file(self._directory, engine))
        file.hold(self._form.engine(engine, model, line))

    def flush(self) -> None:
        """Write what is held."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Write what is held and close the files."""
        for file in self._files.values():
            file.close()


class HeldFile(logging.handlers.RotatingFileHandler):
    """A file whose lines are kept for a moment and written together, warnings at once.

    An engine writes some thirty lines for each request, in between its tokens, and Stoker one:
    written one at a time they cost more than all else that a request needs. Of a process that is
    killed, the last tenth of a second is missing.
    """

    def __init__(self, path: Path, form: logging.Formatter | None = None) -> None:
        super().__init__(
            path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8", delay=True
        )
        self.setFormatter(form)
        self._held: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        self.hold(self.format(record), now=record.levelno >= logging.WARNING)

    def hold(self, line: str, *, now: bool = False) -> None:
        """Take one line."""
        self._held.append(line)
        if now or len(self._held) >= _MAX_HELD:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()  # a thread of its own, where nothing would wake us
            else:
                self._timer = loop.call_later(_HOLD_SECONDS, self._due)

    def flush(self) -> None:
        """Write what is held; a full disk loses it, for there is nobody to be told."""
        self.acquire()
        try:
            held, self._held = self._held, []
            if held:
                with suppress(OSError):
                    self._write("\n".join(held) + "\n")
        finally:
            self.release()

    def close(self) -> None:
        """Write what is held and close the file."""
        self.flush()
        super().close()

    def _due(self) -> None:
        self._timer = None
        self.flush()

    def _write(self, text: str) -> None:
        self.stream = self.stream or self._open()
        if self.stream.tell() + len(text) > self.maxBytes:
            self.doRollover()  # leaves the new file to be opened by whoever writes
            self.stream = self._open()
        self.stream.write(text)
        self.stream.flush()
