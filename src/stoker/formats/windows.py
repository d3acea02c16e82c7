"""Which layers of a GGUF model see only a window of the context, after llama.cpp's `load_hparams`.

Files name a window that the engine ignores, and leave out one that it has: by architecture.
"""

from collections.abc import Mapping
from typing import Final

from stoker.formats.ggufkeys import Keys
from stoker.formats.ggufvalues import Array

# Architecture → every how many layers one is full, and whether the first of each group is.
_WINDOW_PERIODS: Final[Mapping[str, tuple[int, bool]]] = {
    "afmoe": (4, False), "cohere2": (4, False), "cohere2moe": (4, True), "exaone4": (4, False),
    "exaone-moe": (4, False), "gemma2": (2, False), "gemma3": (6, False), "gemma3n": (5, False),
    "gpt-oss": (2, False), "laguna": (4, True), "llama4": (4, False), "mellum": (4, False),
    "muse-glimmer": (4, False), "olmo2": (4, False), "plamo3": (8, False),
    "smallthinker": (4, True),
}  # fmt: skip

# Those whose pattern is always an array of the file.
_WINDOW_ARRAYS: Final = frozenset(
    {"gemma4", "granite-swa", "maple", "mimo2", "spark2-5", "step35", "dots3note"}
)

# Hybrids all of whose attention layers have the window, if the file names one.
_WINDOW_EVERYWHERE: Final = frozenset({"lfm2", "lfm2moe"})

# The engine's own window where the file need not (or may not) say.
_WINDOW_DEFAULTS: Final[Mapping[str, int]] = {"gemma2": 4096, "llama4": 8192, "exaone-moe": 128}
_WINDOW_FORCED: Final[Mapping[str, int]] = {"llama4": 8192, "smallthinker": 4096}


def window_of(keys: Keys) -> int:
    """Tokens a sliding layer sees; 0 when the engine lets no layer slide."""
    name = keys.architecture
    if name in _WINDOW_EVERYWHERE:
        return keys.number(keys.own("attention.sliding_window"))
    if name not in _WINDOW_PERIODS and name not in _WINDOW_ARRAYS:
        return 0  # qwen2, phi3, mistral: the file has a window, the engine ignores it
    if name == "exaone4" and keys.number(keys.own("block_count")) != 64:
        return 0
    window = keys.number(keys.own("attention.sliding_window"), _WINDOW_DEFAULTS.get(name, 0))
    return _WINDOW_FORCED.get(name, window) if window else 0


def sliding_layers(keys: Keys, count: int) -> tuple[bool, ...]:
    """Which layers see only the window. The file's pattern is an array, or a period."""
    if not window_of(keys):
        return (False,) * count
    if keys.architecture in _WINDOW_EVERYWHERE:
        return (True,) * count
    key = keys.own("attention.sliding_window_pattern")
    if isinstance(keys.value(key), Array):
        return tuple(bool(item) for item in keys.per_layer(key, count))
    period, first = _WINDOW_PERIODS.get(keys.architecture, (0, False))
    period = keys.number(key, period)
    if not period:
        return (True,) * count
    full = 0 if first else period - 1
    return tuple(number % period != full for number in range(count))
