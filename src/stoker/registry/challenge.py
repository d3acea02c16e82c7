"""Reading `WWW-Authenticate` (RFC 9110 sections 11.2, 11.3 and 11.6.1). Total and bounded."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

# Real challenges have one or two entries of three parameters and some 300 characters.
_MAX_TEXT: Final = 8 * 1024
_MAX_CHALLENGES: Final = 8
_MAX_PARAMETERS: Final = 16

_SKIP: Final = re.compile(r"[\s,]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[\t ]*(?:,|$))")
_EQUALS: Final = re.compile(r"[\t ]*=[\t ]*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
# Some registries forget the quotes around a URL.
_BARE: Final = re.compile(r"[^\s,\"]+")
_SPACES: Final = re.compile(r"[\t ]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate: a lower-case scheme and its parameters, names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge of these header lines, as far as they can be read; never raises.

    Of a parameter given twice the first counts. What follows a malformed spot of a line is left
    out, since nobody can say where the next challenge would begin.
    """
    found: list[Challenge] = []
    for value in values:
        for challenge in _line(value[:_MAX_TEXT]):
            if len(found) == _MAX_CHALLENGES:
                return tuple(found)
            found.append(challenge)
    return tuple(found)


def _line(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = _end(_SKIP, text, 0)
    while at < len(text):
        scheme = _TOKEN.match(text, at)
        if not scheme:
            break
        parameters: dict[str, str] = {}
        found.append(Challenge(scheme.group().lower(), parameters))
        at = scheme.end()
        gap = _SPACES.match(text, at)
        if gap and (blob := _TOKEN68.match(text, gap.end())) and not _has_value(text, gap.end()):
            at = blob.end()
        elif gap:
            at = gap.end()
        at = _parameters(text, at, parameters)
        if at < 0:
            break
    return found


def _parameters(text: str, at: int, into: dict[str, str]) -> int:
    """Read `name=value` pairs until the next scheme; -1 when the rest cannot be read."""
    while True:
        at = _end(_SKIP, text, at)
        if at >= len(text):
            return at
        name = _TOKEN.match(text, at)
        if not name:
            return -1
        equals = _EQUALS.match(text, name.end())
        if not equals:
            return at  # a scheme begins here
        quoted = _QUOTED.match(text, equals.end())
        value = quoted or _BARE.match(text, equals.end())
        if not value:
            return -1
        plain = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else value.group()
        if len(into) < _MAX_PARAMETERS:
            into.setdefault(name.group().lower(), plain)
        at = value.end()


def _has_value(text: str, at: int) -> bool:
    """True when a parameter with a value starts here, so that this is no token68."""
    name = _TOKEN.match(text, at)
    equals = _EQUALS.match(text, name.end()) if name else None
    return bool(equals and equals.end() < len(text) and text[equals.end()] not in "=,")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
