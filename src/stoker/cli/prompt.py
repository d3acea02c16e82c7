"""Reads a line from the user: with editing and history on a terminal, plainly otherwise."""

import os
import sys
from pathlib import Path
from typing import Final, Protocol

from stoker.base.errors import StorageError
from stoker.cli.errors import say

# Enough for years of questions, little enough to read at every start.
_MAX_HISTORY: Final = 256 * 1024


class LineReader(Protocol):
    """`read` raises EOFError at the end and KeyboardInterrupt for Ctrl-C."""

    def read(self, prompt: str) -> str: ...


def line_reader(history: Path | None) -> LineReader:
    """An editor when both ends are a capable terminal. `history` None remembers nothing."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not terminal or os.environ.get("TERM", "dumb") == "dumb":
        return _Plain()
    return _editor(history)


class _Plain:
    def read(self, prompt: str) -> str:
        say(prompt, end="")
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")


def _editor(history: Path | None) -> LineReader:
    # 110 ms of import, which only this moment needs.
    from prompt_toolkit import PromptSession  # noqa: PLC0415
    from prompt_toolkit.formatted_text import FormattedText  # noqa: PLC0415
    from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415

    memory = FileHistory(str(_private(history))) if history else InMemoryHistory()
    session: PromptSession[str] = PromptSession(
        history=memory, enable_suspend=True, enable_open_in_editor=True
    )
    placeholders = {
        "> ": FormattedText([("ansibrightblack", "Send a message (/? for help)")]),
        ". ": FormattedText([("ansibrightblack", 'Use """ to end multi-line input')]),
    }

    class _Editor:
        def read(self, prompt: str) -> str:
            return session.prompt(prompt, placeholder=placeholders[prompt])

    return _Editor()


def _private(history: Path) -> Path:
    """The history file, readable by its owner only, without what is too old."""
    try:
        history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(history, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            os.fchmod(file.fileno(), 0o600)
            text = file.read()
            if len(text) > _MAX_HISTORY:
                # Entries begin with a comment line; cut at one of them.
                kept = text[-_MAX_HISTORY // 2 :]
                file.seek(0)
                file.write(kept[max(kept.find(b"\n# "), 0) :])
                file.truncate()
    except OSError as error:
        raise StorageError(
            f"cannot use the history file {history}: {error.strerror}",
            hint="DOCKER_MODEL_NOHISTORY=1 does without one",
        ) from error
    return history
