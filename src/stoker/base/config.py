"""The daemon's configuration; each value knows its origin.

Defaults < file < what `start-runner` was told < environment < flags. The file is `config.toml` in
the configuration directory; the environment variables are Docker Model Runner's where it has one.
"""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.base.remembered import read_remembered

DEFAULT_PORT: Final = 12434
GPUS: Final = ("auto", "none", "cuda", "rocm", "vulkan", "metal")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it came from: `default`, a file, an environment variable or a flag."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """What the daemon runs with. `memory_budget` in bytes, 0 means: what the machine has.

    `allowed_origins` and `allowed_hosts`: web pages that may talk to the daemon, and names it goes
    by, beside local ones. `record_requests`: keep the last prompts and answers for debugging.
    `require_keys`: None for: when other machines may connect, or there are keys.
    `max_connections`: 0 for what fits into the open files of a process. `header_timeout`,
    `write_timeout`, `body_timeout` in seconds, `body_rate` in bytes a second: how slow a client may
    be.
    `gpu`: the kind whose builds of engines are preferred; `none` keeps models off GPUs.
    """

    host: str
    port: int
    log_level: str
    log_format: str
    default_registry: str
    llama_server: str
    memory_budget: int
    allowed_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    record_requests: bool
    confine_engines: bool
    """Off only for who says so: engines may then read and write what the user may."""
    require_keys: bool | None
    max_connections: int
    max_connections_per_client: int
    header_timeout: float
    write_timeout: float
    body_timeout: float
    body_rate: int
    gpu: str
    origins: Mapping[str, str]
    """Setting name to where its value came from."""


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    default: object
    convert: Callable[[object], object]
    variables: tuple[str, ...]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError("a whole number") from None


def _port(value: object) -> int:
    port = _whole(value)
    if not 0 <= port <= 65535:
        raise ValueError("a port from 0 to 65535")
    return port


def _level(value: object) -> str:
    level = _text(value).lower()
    if level not in ("debug", "info", "warning", "warn", "error"):
        raise ValueError("one of debug, info, warning, error")
    return "warning" if level == "warn" else level


def _gpu(value: object) -> str:
    if value not in GPUS:
        raise ValueError(f"one of {', '.join(GPUS)}")
    return str(value)


def _form(value: object) -> str:
    form = _text(value).lower()
    if form not in ("text", "json"):
        raise ValueError("text or json")
    return form


def _bytes(value: object) -> int:
    count = _whole(value)
    if count < 0:
        raise ValueError("a number of bytes, 0 for all memory")
    return count


def _count(value: object) -> int:
    count = _whole(value)
    if count < 0:
        raise ValueError("a number of at least 0")
    return count


def _rate(value: object) -> int:
    rate = _whole(value)
    if rate < 1:
        raise ValueError("a number of bytes a second, at least 1")
    return rate


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ValueError("a number of seconds above 0")
    return seconds


def _list(value: object) -> tuple[str, ...]:
    """A comma list, as in an environment variable, or a list of texts, as in the file."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a list of texts")
    return tuple(text.strip() for text in texts if text.strip())


def _switch(value: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _opinion(value: object) -> bool | None:
    return None if value is None else _switch(value)


_KEYS: Final = (
    _Key("host", "127.0.0.1", _text, ("STOKER_LISTEN_HOST",)),
    _Key("port", DEFAULT_PORT, _port, ("MODEL_RUNNER_PORT",)),
    _Key("log_level", "info", _level, ("LOG_LEVEL",)),
    _Key("log_format", "text", _form, ("STOKER_LOG_FORMAT",)),
    _Key("default_registry", "docker.io", _text, ("DEFAULT_REGISTRY",)),
    _Key("llama_server", "", _text, ("LLAMA_SERVER_PATH",)),
    _Key("memory_budget", 0, _bytes, ("STOKER_MEMORY_BUDGET",)),
    _Key("allowed_origins", (), _list, ("DMR_ORIGINS",)),
    _Key("confine_engines", True, _switch, ("STOKER_CONFINE_ENGINES",)),
    _Key("record_requests", False, _switch, ("STOKER_RECORD_REQUESTS",)),
    _Key("require_keys", None, _opinion, ("STOKER_REQUIRE_KEYS",)),
    _Key("allowed_hosts", (), _list, ("STOKER_ALLOWED_HOSTS",)),
    _Key("max_connections", 0, _count, ("STOKER_MAX_CONNECTIONS",)),
    _Key("max_connections_per_client", 1024, _count, ("STOKER_MAX_CONNECTIONS_PER_CLIENT",)),
    _Key("header_timeout", 10.0, _seconds, ("STOKER_HEADER_TIMEOUT",)),
    _Key("write_timeout", 60.0, _seconds, ("STOKER_WRITE_TIMEOUT",)),
    _Key("body_timeout", 30.0, _seconds, ("STOKER_BODY_TIMEOUT",)),
    _Key("body_rate", 4096, _rate, ("STOKER_BODY_RATE",)),
    _Key("gpu", "auto", _gpu, ("STOKER_GPU",)),
)


def load_config(
    directory: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    *,
    remembered: Path | None = None,
) -> Config:
    """Read the layers and check every value. Raises InvalidSetting naming value and origin.

    `flags` holds only what was given on the command line; `remembered` is the file of
    `base/remembered`.
    """
    path = directory / "config.toml"
    file = _read(path)
    unknown = sorted(set(file) - {key.name for key in _KEYS})
    if unknown:
        known = ", ".join(key.name for key in _KEYS)
        raise InvalidSetting(
            f"{path}: unknown setting {unknown[0]!r}", hint=f"known settings: {known}"
        )
    told = read_remembered(remembered) if remembered else {}
    layers = ((str(path), file), (str(remembered), told))
    chosen = {key.name: _choose(key, layers, environ, flags) for key in _KEYS}
    values = {name: setting.value for name, setting in chosen.items()}
    origins = {name: setting.origin for name, setting in chosen.items()}
    return Config(**values, origins=origins)  # type: ignore[arg-type]  # converted per key


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path}: {error}", hint="it must be a TOML file") from error
    except OSError as error:
        raise InvalidSetting(f"{path}: {error.strerror}") from error


def _choose(
    key: _Key,
    files: Sequence[tuple[str, Mapping[str, object]]],
    environ: Mapping[str, str],
    flags: Mapping[str, object],
) -> Setting:
    value, origin = key.default, "default"
    for path, file in files:
        if key.name in file:
            value, origin = file[key.name], path
    for variable in key.variables:
        if environ.get(variable):
            value, origin = environ[variable], variable
    if key.name in flags:
        value, origin = flags[key.name], f"--{key.name.replace('_', '-')}"
    try:
        return Setting(key.convert(value), origin)
    except (ValueError, TypeError) as error:
        raise InvalidSetting(
            f"{origin}: {key.name} cannot be {value!r}; it must be {error}"
        ) from None
