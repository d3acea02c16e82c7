"""Checks what a user wants to pass to an engine against the table out of that engine's own help.

Flags arrive over HTTP, so only what is in the table passes, and only with values of the type that
the help gives.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.engines.flag_table import Flag, Kind

# One way to read each text, and bounds: these come from strangers, of any length.
_NUMBER: Final = re.compile(
    r"-?(?:\d{1,40}(?:\.\d{1,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?", re.ASCII
)
_NEGATIVE: Final = re.compile(rf"(?=-){_NUMBER.pattern}", re.ASCII)
"""A value that starts like a flag, such as -1; no engine has a flag of that shape."""
_NUMBERS: Final = re.compile(rf"{_NUMBER.pattern}(?:,{_NUMBER.pattern})*", re.ASCII)
_AMOUNT: Final = re.compile(r"\d{1,18}[KMGT]?|\d{1,18}(?:\.\d{1,9})?[kmgt]")
_ON_OFF: Final = frozenset({"on", "off", "true", "false", "enabled", "disabled", "1", "0"})
"""What llama.cpp takes where its help says on or off."""


@dataclass(frozen=True, slots=True)
class Language:
    """How one engine is spoken to. `engine` as in URLs; `table`: every name of what is allowed.

    `hint`: what to do instead of a flag that is not. `renamed`: what other words became, nothing
    for those that mean nothing any more. `alone`: what a flag means to which no value is given.
    """

    engine: str
    table: Mapping[str, Flag]
    hint: Callable[[str], str]
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    alone: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def checked(flags: Sequence[str], language: Language) -> tuple[str, ...]:
    """The arguments for these flags: `--key=value` split, old names made new.

    Raises InvalidSetting, with Docker Model Runner's wording, for a flag that is not allowed, and
    for one with a value of the wrong kind, too many or none.
    """
    arguments: list[str] = []
    waiting: Flag | None = None
    began = False
    for token in flags:
        if not token.startswith("-") or _NEGATIVE.fullmatch(token):
            if not began:
                raise InvalidSetting(
                    f'runtime flags must begin with a flag, not with "{_short(token)}"'
                )
            _check_value(arguments[-1] if arguments else "", waiting, token, token)
            arguments.append(token)
            waiting = None
            continue
        _complete(arguments, waiting, language)
        name, equals, value = token.partition("=")
        key = _canonical(name, language)
        began = True
        renamed = language.renamed.get(key, (key,))
        arguments.extend(renamed)
        # An old name that stands for a flag with its value takes none itself.
        waiting = language.table[renamed[0]] if len(renamed) == 1 else None
        if waiting and waiting.kind is Kind.SWITCH:
            waiting = None
        if equals:
            if value.startswith("-") and not _NEGATIVE.fullmatch(value):
                raise InvalidSetting(
                    f"invalid flag \"{_short(token)}\": value cannot start with '-' "
                    "unless followed by a digit"
                )
            _check_value(key, waiting, value, token)
            arguments.append(value)
            waiting = None
    _complete(arguments, waiting, language)
    return tuple(arguments)


def _canonical(name: str, language: Language) -> str:
    # Engines read `--cache_ram` as `--cache-ram`; so must the check.
    key = name.replace("_", "-") if name.startswith("--") else name
    if key not in language.table and key not in language.renamed:
        raise InvalidSetting(
            f'runtime flag "{_short(name)}" is not allowed for backend "{language.engine}"',
            hint=language.hint(key),
        )
    return key


def _check_value(key: str, flag: Flag | None, value: str, token: str) -> None:
    if (flag is None or flag.kind is not Kind.TEXT) and ("/" in value or "\\" in value):
        raise InvalidSetting(
            f'invalid runtime flag "{_short(token)}":'
            " paths are not allowed (contains '/' or '\\\\')"
        )
    if flag is None:
        raise InvalidSetting(
            f'runtime flag "{key}" takes no value, or one less than "{_short(value)}"'
        )
    match flag.kind:
        case Kind.NUMBER:
            right = bool(_NUMBER.fullmatch(value)) or value in flag.words
        case Kind.NUMBERS:
            right = bool(_NUMBERS.fullmatch(value))
        case Kind.AMOUNT:
            right = bool(_AMOUNT.fullmatch(value)) or value in flag.words
        case Kind.CHOICE:
            right = value in flag.words or ("on" in flag.words and value in _ON_OFF)
        case _:
            right = True
    if not right:
        raise InvalidSetting(f'runtime flag "{key}" wants {_wish(flag)}, not "{_short(value)}"')


def _complete(arguments: list[str], waiting: Flag | None, language: Language) -> None:
    """Raises InvalidSetting for a flag that was given no value."""
    if waiting is None:
        return
    if arguments[-1] not in language.alone:
        raise InvalidSetting(f'runtime flag "{arguments[-1]}" wants {_wish(waiting)}')
    arguments.append(language.alone[arguments[-1]])


def _wish(flag: Flag) -> str:
    words = ", ".join(flag.words)
    match flag.kind:
        case Kind.NUMBER:
            return f"a number, or one of: {words}" if words else "a number"
        case Kind.NUMBERS:
            return "numbers with commas between them"
        case Kind.AMOUNT:
            return f"a number such as 8192 or 8K{f', or one of: {words}' if words else ''}"
        case Kind.CHOICE:
            return f"one of: {words}"
        case _:
            return "a value"


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."
