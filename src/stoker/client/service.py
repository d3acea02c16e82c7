"""The daemon as a service of this user: registered with systemd or launchd, begun at login."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from stoker.base.config import VARIABLES
from stoker.base.errors import Conflict, StorageError, UserError
from stoker.base.paths import home_of, paths_of
from stoker.base.remembered import KEYS
from stoker.client.autostart import DAEMON, absolute, await_daemon, log_file, start_daemon
from stoker.client.endpoint import Endpoint
from stoker.client.units import Job, Manager, Words, launchd, systemd

_KEPT: Final = (
    *(name for setting, names in VARIABLES.items() if setting not in KEYS for name in names),
    "STOKER_HOME", "MODELS_PATH", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
    "XDG_STATE_HOME", "DOCKER_CONFIG", "HF_HOME", "HF_ENDPOINT", "MODEL_RUNNER_REGISTRY_MIRRORS",
    "STOKER_DOCKER_HUB", "STOKER_TRUSTED_HOSTS", "PATH", "SSL_CERT_FILE",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
"""What the service inherits of this shell: a service manager starts with next to nothing. No
token is among them, because the file stays on the disk; and nothing that is remembered."""
_PATIENCE: Final = 90.0


@final
@dataclass(frozen=True, slots=True)
class Service:
    """The daemon of the data directory that `environ` selects, in the hands of `manager`."""

    manager: Manager
    environ: Mapping[str, str]

    @property
    def is_registered(self) -> bool:
        return self.manager.unit.exists()

    @property
    def answers(self) -> bool:
        """Whether the manager can be reached from here."""
        return self._run(self.manager.probe).returncode == 0

    def silent(self) -> UserError:
        """What to say when it does not answer."""
        return UserError(
            f"{self.manager.program} does not answer here, so nothing was registered",
            hint="it answers where you have logged in as this user (not by su or sudo);"
            " without it, stoker start-runner runs the daemon until the machine stops",
        )

    def register(self) -> None:
        """Write the file and have the daemon started, now and at each login.

        When that fails, `forget` it. Raises StorageError, Conflict when the manager refuses.
        """
        self._write()
        for words in self.manager.before:
            self._run(words)
        self._command(self.manager.register)

    def begin(self) -> None:
        """Start what is registered. Raises Conflict with the manager's words."""
        self._command(self.manager.begin)

    def forget(self) -> None:
        """Stop it, and begin it no more. Raises StorageError."""
        self._run(self.manager.forget)
        try:
            self.manager.unit.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot remove {self.manager.unit}: {error.strerror}") from error
        for words in self.manager.after:
            self._run(words)

    def _write(self) -> None:
        unit = self.manager.unit
        part = unit.with_name(f".{unit.name}.part")
        job = self._job()
        try:
            for folder in (unit.parent, job.log.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.unlink(missing_ok=True)
            # A proxy's address may hold a password.
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(self.manager.render(job))
                out.flush()
                os.fsync(out.fileno())
            part.replace(unit)
        except OSError as error:
            raise StorageError(f"cannot write {unit}: {error.strerror}") from error

    def _job(self) -> Job:
        paths = paths_of(self.environ)
        environ = absolute(self.environ, paths)
        kept = {name: environ[name] for name in _KEPT if environ.get(name)}
        return Job(DAEMON, kept, log_file(paths), f"Stoker model runner ({paths.data})")

    def _command(self, words: Words) -> None:
        done = self._run(words)
        if done.returncode:
            said = [*done.stderr.strip().splitlines(), f"exit code {done.returncode}"]
            raise Conflict(
                f"{' '.join(words)} failed: {said[0]}",
                hint="stoker start-runner runs the daemon without a service manager",
            )

    def _run(self, words: Words) -> subprocess.CompletedProcess[str]:
        """Run a command of the manager; one that is not there counts as failed."""
        try:
            return subprocess.run(
                words, env=dict(self.environ), stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=_PATIENCE, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(words, 127, "", str(error))


def bring_up(arguments: Sequence[str] = ()) -> Endpoint:
    """Start the daemon, by the service manager where it is registered, and say where it answers.

    `arguments` are for the other case. Raises Unreachable, StorageError, Conflict.
    """
    service = service_of(os.environ)
    if service.is_registered and service.answers:
        return await_daemon(service.begin)
    return start_daemon(arguments)


def service_of(environ: Mapping[str, str], system: str = sys.platform) -> Service:
    """The service of the data directory that these variables select: each has one of its own."""
    name = "stoker"
    if environ.get("STOKER_HOME"):
        home = str(paths_of(environ).data)
        name = f"stoker-{hashlib.sha256(home.encode()).hexdigest()[:8]}"
    user = home_of(environ)
    if system == "darwin":
        return Service(launchd(name, user, os.getuid()), environ)
    config = Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
    return Service(systemd(name, config), environ)
