"""One line of a log: stamped, on one line whatever it says, without secrets; as text or JSON."""

import json
import logging
import re
import time
from abc import abstractmethod
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from stoker.observe.request_id import request_id

# A line longer than this is an engine printing data, not a message.
_MAX_LINE: Final = 4096

# Keys of ours, tokens of Hugging Face and OpenAI, what follows the word in a header, and the
# credentials in a URL. Nothing of ours logs them; what others say is logged too.
_SECRETS: Final = re.compile(
    r"\b(?P<kind>stk_|hf_|sk-)[\w-]{8,}"
    r"|(?P<scheme>\b(?i:bearer|basic)[ :=]+)[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"
)


# One of these is in each of them. To look for them costs a twentieth: engines write much.
_SIGNS: Final = ("stk_", "hf_", "sk-", "://", "bearer", "basic")


def masked(text: str) -> str:
    """The text with whatever looks like a secret replaced by `***`."""
    lower = text.lower()
    for sign in _SIGNS:
        if sign in lower:
            break
    else:
        return text
    return _SECRETS.sub(lambda m: f"{m['kind'] or m['scheme'] or ''}***", text)


def printable(text: str) -> str:
    """The text with control characters escaped and its length bounded."""
    if len(text) <= _MAX_LINE and text.isprintable():
        return text
    shown = text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}... ({len(text)} characters)"
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in shown)


def json_line(said: object) -> str:
    """JSON on one line. It need not escape what controls a terminal beyond ASCII; this does."""
    text = msgspec.json.encode(said).decode()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def rfc3339(now: float) -> str:
    """`2026-01-02T03:04:05.678901234Z` of these Unix seconds."""
    seconds, fraction = divmod(int(now * 1e9), 1_000_000_000)
    return f"{_second(seconds)}.{fraction:09d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Lines(Protocol):
    """A form of log lines."""

    def service(self, *, stamped: bool = True) -> "ServiceLine":
        """For what Stoker says; without its time where that is now."""
        ...

    def engine(self, engine: str, model: str, line: str) -> str:
        """For what an engine says."""
        ...


class TextLines:
    """`[2026-01-02T03:04:05.678901234Z] INFO event key=value id=request`, for people."""

    def service(self, *, stamped: bool = True) -> "ServiceLine":
        return Text(stamped=stamped)

    def engine(self, engine: str, model: str, line: str) -> str:
        del engine  # each has a file of its own
        return f"[{rfc3339(time.time())}] {printable(model)}: {masked(printable(line))}"


class JsonLines:
    """`{"time": …, "level": …, "message": …}`, for programs. `time` comes first."""

    def service(self, *, stamped: bool = True) -> "ServiceLine":
        del stamped  # its time is part of it
        return Json()

    def engine(self, engine: str, model: str, line: str) -> str:
        said = {
            "time": rfc3339(time.time()),
            "engine": engine,
            "model": model,
            "message": masked(line),
        }
        return json_line(said)


LINES: Final[dict[str, Lines]] = {"text": TextLines(), "json": JsonLines()}


class ServiceLine(logging.Formatter):
    """Lines of Stoker's own: of a record, or of what a record would say."""

    def format(self, record: logging.LogRecord) -> str:
        """Called by `logging`."""
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return self.line(record.levelname, record.name, record.getMessage(), record.created, trace)

    @abstractmethod
    def line(self, level: str, logger: str, message: str, created: float, trace: str = "") -> str:
        """`created` in Unix seconds."""


class Text(ServiceLine):
    """For people; without a stamp on a terminal, where it is now."""

    def __init__(self, *, stamped: bool) -> None:
        super().__init__()
        self._stamped = stamped

    def line(self, level: str, logger: str, message: str, created: float, trace: str = "") -> str:
        del logger
        text = f"{level} {message}"
        if name := request_id.get():
            text += f" id={name}"
        if trace:
            text += f"\n{trace}"
        # A model's name or an engine's output must not be able to forge a line or move a cursor.
        clean = masked(text)
        if not clean.isprintable():
            clean = "\n    ".join(printable(line) for line in clean.splitlines())
        return f"[{rfc3339(created)}] {clean}" if self._stamped else clean


class Json(ServiceLine):
    """For programs."""

    def line(self, level: str, logger: str, message: str, created: float, trace: str = "") -> str:
        said = {
            "time": rfc3339(created),
            "level": level,
            "logger": logger,
            "message": masked(message),
        }
        if name := request_id.get():
            said["request_id"] = name
        if trace:
            said["exception"] = masked(trace)
        return json_line(said)
