"""What a setting may be: each function reads one value of a file, a variable or a flag.

Each raises ValueError or TypeError with what the value must be, for `base/config` to say.
"""

import math
from typing import Final

GPUS: Final = ("auto", "none", "cuda", "rocm", "vulkan", "metal")


def as_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def as_whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError("a whole number") from None


def as_port(value: object) -> int:
    port = as_whole(value)
    if not 0 <= port <= 65535:
        raise ValueError("a port from 0 to 65535")
    return port


def as_level(value: object) -> str:
    level = as_text(value).lower()
    if level not in ("debug", "info", "warning", "warn", "error"):
        raise ValueError("one of debug, info, warning, error")
    return "warning" if level == "warn" else level


def as_gpu(value: object) -> str:
    if value not in GPUS:
        raise ValueError(f"one of {', '.join(GPUS)}")
    return str(value)


def as_form(value: object) -> str:
    form = as_text(value).lower()
    if form not in ("text", "json"):
        raise ValueError("text or json")
    return form


def as_tls(value: object) -> str:
    mode = as_text(value).lower()
    if mode not in ("auto", "off"):
        raise ValueError("auto or off; a certificate of your own is given by --tls-cert")
    return mode


def as_bytes(value: object) -> int:
    count = as_whole(value)
    if count < 0:
        raise ValueError("a number of bytes, 0 for all memory")
    return count


def as_count(value: object) -> int:
    count = as_whole(value)
    if count < 0:
        raise ValueError("a number of at least 0")
    return count


def as_positive(value: object) -> int:
    number = as_whole(value)
    if number < 1:
        raise ValueError("a number of at least 1")
    return number


def as_seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ValueError("a number of seconds above 0")
    return seconds


def as_list(value: object) -> tuple[str, ...]:
    """A comma list, as in an environment variable, or a list of texts, as in the file."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a list of texts")
    return tuple(text.strip() for text in texts if text.strip())


def as_switch(value: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise ValueError("true or false") from None


def as_opinion(value: object) -> bool | None:
    return None if value is None else as_switch(value)
