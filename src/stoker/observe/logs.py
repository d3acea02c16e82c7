"""Log files: one for the service, one for what each engine writes. All rotate.

Each line begins with its time, which `/logs` merges by; `observe/lines` has the two forms.
"""

import asyncio
import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Final

from stoker.observe.lines import LINES, Text

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
    handlers: list[logging.Handler] = [_file(directory / SERVICE_LOG, LINES[form].service())]
    if foreground:
        console = logging.StreamHandler(sys.stderr)
        console.setFormatter(LINES[form].service() if form == "json" else Text(stamped=False))
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

    def __init__(self, directory: Path, form: str) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._form = LINES[form]
        self._handlers: dict[str, logging.Handler] = {}
        self._lines: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, engine: str, model: str, line: str) -> None:
        """Take one line."""
        held = self._lines.setdefault(engine, [])
        held.append(self._form.engine(engine, model, line))
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
            self._handlers[engine] = _file(path, logging.Formatter())
        return self._handlers[engine]


def _file(path: Path, form: logging.Formatter) -> logging.Handler:
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8", delay=True
    )
    handler.setFormatter(form)
    return handler
