"""Data for stdout: Docker's tables, JSON, sizes and ages."""

import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from stoker.base.units import human_duration
from stoker.cli.errors import printable

SHORT_ID = slice(7, 19)
"""The twelve digits of `sha256:…` that people see."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Docker Model Runner's layout, byte for byte: every cell padded and followed by two spaces."""
    lines = [[*header], *(line for row in rows for line in _lines(row))]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(header))]
    return "".join(
        "".join(cell + " " * (w - _width(cell) + 2) for cell, w in zip(line, widths, strict=True))
        + "\n"
        for line in lines
    )


def put_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table; on a terminal, where padding past the edge would show as empty lines, bare."""
    text = table(header, rows)
    if sys.stdout.isatty():
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    put(text)


def put(text: str) -> None:
    """Write to stdout as it is."""
    sys.stdout.write(text)


def put_json(value: Any, *, indent: int = 4) -> None:
    """JSON for programs and people: indented, nothing escaped that need not be.

    JSON itself leaves in what controls a terminal beyond ASCII, and what turns the order of text.
    """
    text = msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
    if not text.replace("\n", "").isprintable():
        import json  # noqa: PLC0415  # rare, and 2 ms of start-up

        for letter in set(text):  # not each one of what may be megabytes of pictures
            if not letter.isprintable() and letter != "\n":
                text = text.replace(letter, json.dumps(letter)[1:-1])
    put(text + "\n")


def put_json_line(value: Any) -> None:
    """One value of a stream of them, at once."""
    put_json(value, indent=-1)
    sys.stdout.flush()


def age(created: int) -> str:
    """`2 months ago`; nothing when the time is unknown."""
    if created <= 0:
        return ""
    return f"{human_duration(datetime.now(UTC).timestamp() - created)} ago"


def short_id(identifier: str) -> str:
    """The first twelve digits of a model id."""
    return identifier[SHORT_ID] if identifier.startswith("sha256:") else identifier[:12]


def _lines(row: Sequence[str]) -> list[list[str]]:
    """A newline inside a cell makes one more line of the row; a tab is four spaces."""
    cells = [printable(cell).replace("\t", "    ").split("\n") for cell in row]
    height = max(len(cell) for cell in cells)
    return [[cell[n] if n < len(cell) else "" for cell in cells] for n in range(height)]


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
