"""What an exception means to the shell and to the person in front of it: the only such table.

Docker Model Runner ends with 1 whatever went wrong, and scripts made for it test for "not 0"; so
1 stays the code of every failure. The others tell apart what a script may want to tell apart.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from stoker.base.errors import DaemonError, StokerError, UserError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE: Final = (
    0  # the reader (`head`, a pager) had enough; docker would print 141 as an error
)


class UsageError(UserError):
    """The command line itself is wrong: a flag, or the number of arguments."""

    code = "usage"


EXIT_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (UsageError, USAGE),
    (KeyboardInterrupt, INTERRUPTED),
    (BrokenPipeError, BROKEN_PIPE),
    (BaseException, FAILED),
)


def exit_code(error: BaseException) -> int:
    """The first row that fits."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Put `Failed to …: ` before what the daemon says; it cannot know what it was asked for."""
    try:
        yield
    except DaemonError as error:
        error.args = (f"{what}: {error.message}",)
        raise


def refusal(verb: str, error: DaemonError) -> str:
    """Docker Model Runner's sentence for a refusal: `pulling x failed with status 404 …`."""
    if error.status is None or error.status < 400:
        return error.message
    phrase = HTTPStatus(error.status).phrase if error.status in set(HTTPStatus) else ""
    return f"{verb} failed with status {f'{error.status} {phrase}'.strip()}: {error.message}"


def report(error: BaseException) -> None:
    """Say it on stderr: `error: …`, and what to do next on a line of its own."""
    if isinstance(error, (KeyboardInterrupt, BrokenPipeError)):
        if isinstance(error, KeyboardInterrupt) and sys.stderr.isatty():
            say("")  # the shell's prompt does not belong behind the terminal's ^C
        for note in getattr(error, "__notes__", ()):
            say(note)
        return
    if isinstance(error, StokerError):
        message, hint = error.message, error.hint
    elif isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        message, hint = f"{error.strerror or error}{where}", None
    elif isinstance(error, UnicodeEncodeError):  # of bytes in an argument, kept as surrogates
        message, hint = f"{error.object[max(error.start - 20, 0) : error.end]!a} is not UTF-8", None
    else:
        message = f"this is a bug in Stoker: {type(error).__name__}: {error}"
        hint = "the traceback is shown with --debug"
    say(f"error: {printable(message)}")
    if hint:
        say(f"hint: {printable(hint)}")


def say(text: str, end: str = "\n") -> None:
    """Talk, as opposed to data: to stderr."""
    print(text, file=sys.stderr, end=end, flush=True)


def printable(text: str) -> str:
    """Without control characters: part of it may come from a registry or a file name."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
