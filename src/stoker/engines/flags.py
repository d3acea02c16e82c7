"""Which raw llama-server flags a user may pass, and what becomes of them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from stoker.engines.flag_check import Language, checked
from stoker.engines.flag_table import recorded

TABLE: Final = recorded("llamacpp_flags.txt")
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

_FLASH: Final = {"-fa": "on", "--flash-attn": "on"}
"""It meant "on" before it took a value."""
_CONTEXT: Final = ("-c", "--ctx-size")
_HINT: Final = (
    "either llama.cpp has no such flag, or it is about files, URLs, addresses or keys,"
    " which are Stoker's to set"
)


def engine_flags(flags: Sequence[str], *, engine: str) -> tuple[str, ...]:
    """The arguments for these flags, checked: see `flag_check`. Raises InvalidSetting."""
    language = Language(engine, TABLE, lambda _: _HINT, RENAMED, _FLASH)
    given = checked(flags, language)
    # All of the context is 0 to llama.cpp of today; it was -1, and is so to everybody else.
    return tuple(
        "0" if before in _CONTEXT and value == "-1" else value
        for before, value in pairwise(("", *given))
    )
