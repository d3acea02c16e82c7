"""The daemon's configuration; each value knows its origin.

Defaults < file < what `start-runner` was told < environment < flags. The file is `config.toml` in
the configuration directory; the environment variables are Docker Model Runner's where it has one.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stoker.base import values
from stoker.base.errors import InvalidSetting
from stoker.base.remembered import read_remembered

DEFAULT_PORT: Final = 12434


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
    `tls`: `auto` makes a certificate, `tls_cert` and `tls_key` name files of one's own.
    `max_connections`: 0 for what fits into the open files of a process. `header_timeout`,
    `write_timeout`, `body_timeout` in seconds, `body_rate` in bytes a second: how slow a client may
    be. `max_body`, `max_bodies`: bytes of one request to a model, and of all at a time.
    `engine_timeout`: seconds without a sign of life after which an engine counts as hung.
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
    tls: str
    tls_cert: str
    tls_key: str
    max_connections: int
    max_connections_per_client: int
    header_timeout: float
    write_timeout: float
    body_timeout: float
    body_rate: int
    max_body: int
    max_bodies: int
    engine_timeout: float
    gpu: str
    origins: Mapping[str, str]
    """Setting name to where its value came from."""


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    default: object
    convert: Callable[[object], object]
    variables: tuple[str, ...]


_KEYS: Final = (
    _Key("host", "127.0.0.1", values.as_text, ("STOKER_LISTEN_HOST",)),
    _Key("port", DEFAULT_PORT, values.as_port, ("MODEL_RUNNER_PORT",)),
    _Key("log_level", "info", values.as_level, ("LOG_LEVEL",)),
    _Key("log_format", "text", values.as_form, ("STOKER_LOG_FORMAT",)),
    _Key("default_registry", "docker.io", values.as_text, ("DEFAULT_REGISTRY",)),
    _Key("llama_server", "", values.as_text, ("LLAMA_SERVER_PATH",)),
    _Key("memory_budget", 0, values.as_bytes, ("STOKER_MEMORY_BUDGET",)),
    _Key("allowed_origins", (), values.as_list, ("DMR_ORIGINS",)),
    _Key("confine_engines", True, values.as_switch, ("STOKER_CONFINE_ENGINES",)),
    _Key("record_requests", False, values.as_switch, ("STOKER_RECORD_REQUESTS",)),
    _Key("require_keys", None, values.as_opinion, ("STOKER_REQUIRE_KEYS",)),
    _Key("tls", "off", values.as_tls, ("STOKER_TLS",)),
    _Key("tls_cert", "", values.as_text, ("STOKER_TLS_CERT", "MODEL_RUNNER_TLS_CERT")),
    _Key("tls_key", "", values.as_text, ("STOKER_TLS_KEY", "MODEL_RUNNER_TLS_KEY")),
    _Key("allowed_hosts", (), values.as_list, ("STOKER_ALLOWED_HOSTS",)),
    _Key("max_connections", 0, values.as_count, ("STOKER_MAX_CONNECTIONS",)),
    _Key(
        "max_connections_per_client", 1024, values.as_count, ("STOKER_MAX_CONNECTIONS_PER_CLIENT",)
    ),
    _Key("header_timeout", 10.0, values.as_seconds, ("STOKER_HEADER_TIMEOUT",)),
    _Key("write_timeout", 60.0, values.as_seconds, ("STOKER_WRITE_TIMEOUT",)),
    _Key("body_timeout", 30.0, values.as_seconds, ("STOKER_BODY_TIMEOUT",)),
    _Key("body_rate", 4096, values.as_positive, ("STOKER_BODY_RATE",)),
    _Key("max_body", 256 * 1024 * 1024, values.as_positive, ("STOKER_MAX_BODY",)),
    _Key("max_bodies", 1024 * 1024 * 1024, values.as_positive, ("STOKER_MAX_BODIES",)),
    _Key("engine_timeout", 1800.0, values.as_seconds, ("STOKER_ENGINE_TIMEOUT",)),
    _Key("gpu", "auto", values.as_gpu, ("STOKER_GPU",)),
)
VARIABLES: Final = MappingProxyType({key.name: key.variables for key in _KEYS})
"""Setting name to the environment variables that set it, the last one winning."""


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
    found = {name: setting.value for name, setting in chosen.items()}
    origins = {name: setting.origin for name, setting in chosen.items()}
    return Config(**found, origins=origins)  # type: ignore[arg-type]  # converted per key


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
