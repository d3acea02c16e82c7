"""Which raw llama-server flags a user may pass, and what becomes of them.

Flags arrive over HTTP, so only what is in the table of `flag_table` passes, and only with values of
the type that the engine's own help gives.
"""

import re
from collections.abc import Sequence
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.engines.flag_table import Flag, Kind, recorded

TABLE: Final = recorded()
"""Every name of every flag that is allowed."""

RENAMED: Final = {
    # Gone from llama.cpp by October 2026, still in everybody's notes.
    "--no-mmap": ("--load-mode", "none"),
    "--mmap": ("--load-mode", "mmap"),
    "--mlock": ("--load-mode", "mlock"),
    "-dio": ("--load-mode", "dio"),
    "--direct-io": ("--load-mode", "dio"),
    "-ndio": (),
    "--webui": (),
    "--no-webui": (),
    "--ui": (),
    "--no-ui": (),
    "--no-direct-io": (),
    "--draft": ("--spec-draft-n-max",),
    "--draft-n": ("--spec-draft-n-max",),
    "--draft-max": ("--spec-draft-n-max",),
    "--draft-n-max": ("--spec-draft-n-max",),
    "--draft-min": ("--spec-draft-n-min",),
    "--draft-n-min": ("--spec-draft-n-min",),
}

_NUMBER: Final = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")
_NEGATIVE: Final = re.compile(rf"(?=-){_NUMBER.pattern}")
"""A value that starts like a flag, such as -1; llama.cpp has no flag of that shape."""
_NUMBERS: Final = re.compile(rf"{_NUMBER.pattern}(?:,{_NUMBER.pattern})*")
_ON_OFF: Final = frozenset({"on", "off", "true", "false", "enabled", "disabled", "1", "0"})
"""What llama.cpp takes where its help says on or off."""
_FLASH: Final = ("-fa", "--flash-attn")
_CONTEXT: Final = ("-c", "--ctx-size")


def engine_flags(flags: Sequence[str], *, engine: str) -> tuple[str, ...]:
    """The arguments for these flags: checked, `--key=value` split, old names made new.

    Raises InvalidSetting, with Docker Model Runner's wording, for a flag that is not allowed, and
    for one with a value of the wrong kind, too many or none.
    """
    arguments: list[str] = []
    waiting: Flag | None = None
    began = False
    for token in flags:
        if not token.startswith("-") or _NEGATIVE.fullmatch(token):
            if not began:
                raise InvalidSetting(f'runtime flags must begin with a flag, not with "{token}"')
            _check_value(arguments[-1] if arguments else "", waiting, token, token)
            arguments.append(_context(arguments[-1], token))
            waiting = None
            continue
        _check_complete(arguments, waiting)
        name, equals, value = token.partition("=")
        key = _canonical(name, engine)
        began = True
        renamed = RENAMED.get(key, (key,))
        arguments.extend(renamed)
        # An old name that stands for a flag with its value takes none itself.
        waiting = TABLE[renamed[0]] if len(renamed) == 1 else None
        if waiting and waiting.kind is Kind.SWITCH:
            waiting = None
        if equals:
            _check_value(key, waiting, value, token)
            if value.startswith("-") and not _NEGATIVE.fullmatch(value):
                raise InvalidSetting(
                    f"invalid flag \"{token}\": value cannot start with '-' "
                    "unless followed by a digit"
                )
            arguments.append(_context(key, value))
            waiting = None
    _check_complete(arguments, waiting)
    return tuple(arguments)


def _canonical(name: str, engine: str) -> str:
    # llama.cpp reads `--cache_ram` as `--cache-ram`; so must the check.
    key = name.replace("_", "-") if name.startswith("--") else name
    if key not in TABLE and key not in RENAMED:
        raise InvalidSetting(
            f'runtime flag "{name}" is not allowed for backend "{engine}"',
            hint="either llama.cpp has no such flag, or it is about files, URLs, addresses or keys,"
            " which are Stoker's to set",
        )
    return key


def _context(key: str, value: str) -> str:
    """All of the context is 0 to llama.cpp of today; it was -1, and is so to everybody else."""
    return "0" if key in _CONTEXT and value == "-1" else value


def _check_value(key: str, flag: Flag | None, value: str, token: str) -> None:
    if (flag is None or flag.kind is not Kind.TEXT) and ("/" in value or "\\" in value):
        raise InvalidSetting(
            f"invalid runtime flag \"{token}\": paths are not allowed (contains '/' or '\\\\')"
        )
    if flag is None:
        raise InvalidSetting(f'runtime flag "{key}" takes no value, or one less than "{value}"')
    match flag.kind:
        case Kind.NUMBER:
            right = bool(_NUMBER.fullmatch(value)) or value in flag.words
        case Kind.NUMBERS:
            right = bool(_NUMBERS.fullmatch(value))
        case Kind.CHOICE:
            right = value in flag.words or ("on" in flag.words and value in _ON_OFF)
        case _:
            right = True
    if not right:
        raise InvalidSetting(f'runtime flag "{key}" wants {_wish(flag)}, not "{value}"')


def _check_complete(arguments: list[str], waiting: Flag | None) -> None:
    """Raises InvalidSetting for a flag that was given no value."""
    if waiting is None:
        return
    if arguments[-1] in _FLASH:  # it meant "on" before it took a value
        arguments.append("on")
        return
    raise InvalidSetting(f'runtime flag "{arguments[-1]}" wants {_wish(waiting)}')


def _wish(flag: Flag) -> str:
    words = ", ".join(flag.words)
    match flag.kind:
        case Kind.NUMBER:
            return f"a number, or one of: {words}" if words else "a number"
        case Kind.NUMBERS:
            return "numbers with commas between them"
        case Kind.CHOICE:
            return f"one of: {words}"
        case _:
            return "a value"
