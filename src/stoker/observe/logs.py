"""Log files: one for the service, one for what each engine writes. All rotate.

Each line begins with `[<RFC 3339 with nanoseconds>] `, which `/logs` merges by.
"""

import asyncio
import logging
import logging.handlers
import sys
import time
from pathlib import Path
from typing import Final

SERVICE_LOG: Final = "stoker.log"

_MAX_BYTES: Final = 16 * 1024 * 1024
_BACKUPS: Final = 2
# A line longer than this is an engine printing data, not a message.
_MAX_LINE: Final = 4096
_HOLD_SECONDS: Final = 0.1
_MAX_HELD: Final = 1000


class _Stamped(logging.Formatter):
    """`[2026-01-02T03:04:05.678901234Z] INFO event key=value`, one line whatever the text."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # A model's name or an engine's output must not be able to forge a line or move a cursor.
        clean = "\n    ".join(printable(line) for line in text.splitlines())
        return f"{stamp(record.created)} {clean}"


def stamp(now: float) -> str:
    """`[2026-01-02T03:04:05.678901234Z]` of these Unix seconds."""
    seconds, fraction = divmod(int(now * 1e9), 1_000_000_000)
    return f"[{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09d}Z]"


def printable(text: str) -> str:
    """The text with control characters escaped and its length bounded."""
    if len(text) <= _MAX_LINE and text.isprintable():
        return text
    shown = text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}... ({len(text)} characters)"
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in shown)


def set_up_logging(directory: Path, *, level: str, foreground: bool) -> None:
    """Send the service's log to a file, and to standard error too when in the foreground."""
    directory.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [_file(directory / SERVICE_LOG, "%(levelname)s %(message)s")]
    if foreground:
        console = logging.StreamHandler(sys.stderr)
        console.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        handlers.append(console)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    # One line for each request is ours (api/middleware), with an id and a time.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def engine_log_file(directory: Path, engine: str) -> Path:
    """Where an engine's lines are: one that talks much does not rotate away another's."""
    return directory / f"engine-{engine}.log"


class EngineLog:
    """Where engines' lines go: `engine_log(engine, model, line)`.

    An engine writes some thirty lines for each request, in between its tokens. They are kept for a
    moment and written together: one at a time they cost more than all else a request needs.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._handlers: dict[str, logging.Handler] = {}
        self._lines: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, engine: str, model: str, line: str) -> None:
        """Take one line."""
        held = self._lines.setdefault(engine, [])
        held.append(f"{stamp(time.time())} {printable(model)}: {printable(line)}")
        if len(held) >= _MAX_HELD:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_HOLD_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is held."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        held, self._lines = self._lines, {}
        for engine, lines in held.items():
            record = logging.LogRecord("engines", logging.INFO, "", 0, "\n".join(lines), None, None)
            self._handler(engine).handle(record)

    def close(self) -> None:
        """Write what is held and close the files."""
        self.flush()
        for handler in self._handlers.values():
            handler.close()

    def _handler(self, engine: str) -> logging.Handler:
        if engine not in self._handlers:
            path = engine_log_file(self._directory, engine)
            self._handlers[engine] = _file(path, "%(message)s", stamped=False)
        return self._handlers[engine]


def _file(path: Path, layout: str, *, stamped: bool = True) -> logging.Handler:
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8", delay=True
    )
    handler.setFormatter(_Stamped(layout) if stamped else logging.Formatter(layout))
    return handler
