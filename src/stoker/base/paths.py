"""Where state, cache, sockets and logs live.

`STOKER_HOME` moves everything into one directory; otherwise the platform's own places are used.
`MODELS_PATH` moves only the model store, as in Docker Model Runner.
"""

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stoker.base.errors import InvalidSetting, StorageError

_APP = "stoker"

# sun_path is 108 bytes on Linux and 104 on macOS, with a trailing NUL; each engine has a directory
# below the run directory, with its socket in it.
MAX_SOCKET_PATH = 103


@dataclass(frozen=True, slots=True)
class Paths:
    """Absolute directories; none of them is created here."""

    data: Path
    models: Path
    cache: Path
    logs: Path
    run: Path
    config: Path

    @property
    def socket(self) -> Path:
        """The daemon's unix socket."""
        return self.run / "stoker.sock"

    @property
    def daemon_lock(self) -> Path:
        """Held while a daemon runs; one per data directory."""
        return self.data / "daemon.lock"

    @property
    def settings(self) -> Path:
        """What `configure` persisted."""
        return self.data / "settings.json"

    @property
    def consents(self) -> Path:
        """Digests of the models whose own code may be run."""
        return self.data / "consents.json"

    @property
    def runner(self) -> Path:
        """What `start-runner` was told, see `base/remembered`."""
        return self.data / "runner.json"

    @property
    def contexts(self) -> Path:
        """Named addresses of daemons, for the command line and other clients."""
        return self.config / "contexts.json"

    @property
    def audit(self) -> Path:
        """Who changed what."""
        return self.logs / "audit.jsonl"

    @property
    def tls(self) -> Path:
        """Certificates made here: `ca.pem` is what clients trust."""
        return self.data / "tls"

    @property
    def keys(self) -> Path:
        """API keys, as hashes."""
        return self.data / "keys.json"

    @property
    def history(self) -> Path:
        """Lines typed in the interactive chat."""
        return self.data / "history"

    @property
    def engines(self) -> Path:
        """Engine builds and environments made by `install-runner`."""
        return self.data / "engines"

    @property
    def engine_cache(self) -> Path:
        """What is kept to make engine builds faster: downloads, compiled parts."""
        return self.cache / "engines"


def check_own(directory: Path) -> None:
    """Raises StorageError for what somebody else may have put where everybody may put things.

    Such a place is that of `_short_enough`, whose names can be guessed.
    """
    if not directory.parent.stat().st_mode & stat.S_IWOTH:
        return
    found = directory.lstat()
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or others:
        raise StorageError(
            f"{directory} may be somebody else's: it is no directory that only you can change",
            hint="remove it, or set STOKER_HOME to a shorter path",
        )


def paths_of(environ: Mapping[str, str] | None = None) -> Paths:
    """The paths that these environment variables select. Raises InvalidSetting."""
    env = os.environ if environ is None else environ
    if env.get("STOKER_HOME"):
        base = _directory(env, "STOKER_HOME")
        data, cache, config = base, base / "cache", base
        logs, run = base / "logs", base / "run"
    else:
        data, cache, config, logs, run = _platform_dirs(env)
    return Paths(
        data=data,
        models=_directory(env, "MODELS_PATH") if env.get("MODELS_PATH") else data / "models",
        cache=cache,
        logs=logs,
        run=_short_enough(run, env),
        config=config,
    )


def home_of(env: Mapping[str, str]) -> Path:
    """The user's home directory. Raises InvalidSetting for a user who has none."""
    try:
        return Path(env.get("HOME") or "~").expanduser()
    except RuntimeError as error:
        raise InvalidSetting(
            "this user has no home directory", hint="set HOME to a directory that it may write to"
        ) from error


def _directory(env: Mapping[str, str], variable: str) -> Path:
    try:
        return Path(env[variable]).expanduser().absolute()
    except RuntimeError as error:
        raise InvalidSetting(
            f"{variable}={env[variable]}: nobody has such a home directory"
        ) from error


def _platform_dirs(env: Mapping[str, str]) -> tuple[Path, Path, Path, Path, Path]:
    if sys.platform != "linux":
        # platformdirs costs 10 ms of start-up; on Linux the XDG rules below are all of it.
        import platformdirs  # noqa: PLC0415

        data = Path(platformdirs.user_data_dir(_APP, appauthor=False))
        return (
            data,
            Path(platformdirs.user_cache_dir(_APP, appauthor=False)),
            Path(platformdirs.user_config_dir(_APP, appauthor=False)),
            Path(platformdirs.user_log_dir(_APP, appauthor=False)),
            data / "run",
        )
    user = home_of(env)

    def xdg(variable: str, fallback: str) -> Path:
        value = env.get(variable, "")
        # The specification: "If an implementation encounters a relative path ... it should
        # consider the path invalid and ignore it."
        return (Path(value) if value.startswith("/") else user / fallback) / _APP

    runtime = env.get("XDG_RUNTIME_DIR", "")
    data = xdg("XDG_DATA_HOME", ".local/share")
    usable = runtime.startswith("/") and os.access(runtime, os.W_OK)
    return (
        data,
        xdg("XDG_CACHE_HOME", ".cache"),
        xdg("XDG_CONFIG_HOME", ".config"),
        xdg("XDG_STATE_HOME", ".local/state") / "logs",
        Path(runtime) / _APP if usable else data / "run",
    )


def _short_enough(run: Path, env: Mapping[str, str]) -> Path:
    """A run directory whose sockets fit in a socket address.

    The fallback is derived from the wanted path, so that daemon and CLI agree on it without a word.
    """
    if len(os.fsencode(run / "00000000/e.sock")) <= MAX_SOCKET_PATH:
        return run
    import hashlib  # noqa: PLC0415  # rare path; hashlib costs 3 ms of start-up

    digest = hashlib.sha256(os.fsencode(run)).hexdigest()[:12]
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(env.get("TMPDIR") or "/tmp") / f"stoker-{user}-{digest}"  # noqa: S108
