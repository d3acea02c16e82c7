"""Bytes, counts and durations as people write and read them. Formats follow Docker's tables."""

import re
from datetime import timedelta

from stoker.base.errors import InvalidSetting

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_COUNT = ("", "K", "M", "B", "T")


def decimal_size(count: int) -> str:
    """Base 1000, two decimals: `270.61MB`; zero is `0.00B`."""
    return _scaled(count, 1000, _DECIMAL)


def binary_size(count: int) -> str:
    """Base 1024, two decimals: `256.35MiB`."""
    return _scaled(count, 1024, _BINARY)


def parameter_count(count: int) -> str:
    """Base 1000 without a unit: 361820000 is `361.82M`, 7000000000 is `7.00B`."""
    return _scaled(count, 1000, _COUNT)


def _scaled(count: int, base: int, suffixes: tuple[str, ...]) -> str:
    value = float(count)
    for suffix in suffixes[:-1]:
        # 999.995 would print as 1000.00 in this unit: move on before the rounding does.
        if value < base - 0.005:
            return f"{value:.2f}{suffix}"
        value /= base
    return f"{value:.2f}{suffixes[-1]}"


def human_duration(seconds: float) -> str:
    """The words Docker uses: `Less than a second`, `About a minute`, `3 hours`, `2 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (whole + 1800) // 3600
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    return _long_duration(hours // 24)


def _long_duration(days: int) -> str:
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"


_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = (1 << 63) / 1e9  # seconds: Go counts nanoseconds in an int64
_GO_DURATION = r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)"


def parse_duration(text: str) -> float:
    """Seconds of a Go duration (`5m`, `1h30m`, `250ms`) or a plain number of seconds.

    Any negative value means "for ever" and is returned as `inf`, as keep-alive settings use it.
    Raises InvalidSetting.
    """
    body = text.strip()
    sign = -1.0 if body.startswith("-") else 1.0
    body = body[1:] if body[:1] in ("+", "-") else body
    if re.fullmatch(r"\d+(\.\d+)?", body):
        value = float(body)
    else:
        parts = re.findall(_GO_DURATION, body)
        if not parts or "".join(number + unit for number, unit in parts) != body:
            raise InvalidSetting(
                f"invalid duration {text!r}",
                hint="write it like 30s, 5m, 1h30m, 0 or -1 (for ever)",
            )
        value = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    if sign < 0 and value > 0:
        return float("inf")
    if value > _LONGEST:
        raise InvalidSetting(f"{text!r} is longer than 292 years", hint="-1 means for ever")
    return value


def go_duration(seconds: float) -> str:
    """A duration as Go prints it (`5m0s`); `-1` for ever."""
    if seconds == float("inf"):
        return "-1"
    whole = timedelta(seconds=seconds)
    hours, rest = divmod(int(whole.total_seconds()), 3600)
    minutes, secs = divmod(rest, 60)
    fraction = whole.total_seconds() - int(whole.total_seconds())
    tail = f"{secs + fraction:g}s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail
