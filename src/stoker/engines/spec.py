"""The Engine and Launcher protocols: everything the rest of Stoker knows about an engine.

An engine is pure: it turns a model into a Command and log lines into a reason. A launcher acts: it
turns a Command into a process that answers HTTP. A third engine is one more file beside
`llamacpp.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings


class Reason(StrEnum):
    """Why an engine did not start or did not stay up. Stable words, shown to programs."""

    BAD_FILE = "bad_file"
    UNSUPPORTED_ARCHITECTURE = "unsupported_architecture"
    OUT_OF_MEMORY = "out_of_memory"
    BAD_ARGUMENTS = "bad_arguments"
    BAD_TEMPLATE = "bad_template"
    NEEDS_CODE = "needs_code"
    BROKEN_ENGINE = "broken_engine"
    ADDRESS_IN_USE = "address_in_use"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Command:
    """One engine process to start: argument vector (no shell), environment, where it listens."""

    argv: tuple[str, ...]
    socket: Path
    """Its directory is the engine's own: made for it, and removed with all that is in it."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    reads: tuple[Path, ...] = ()
    """What else it may read, such as the model's directory; see `confinement`."""
    programs: tuple[Path, ...] = ()
    """Where the program and its libraries lie, when neither with the system nor with Stoker."""
    writes: tuple[Path, ...] = ()
    loopback: bool = False
    """Whether its processes talk to each other over TCP, on a loopback of their own. Otherwise it
    has no network at all."""
    health_path: str = "/health"
    pulse_path: str = "/health"
    """What only an engine whose work goes on answers, with any status."""
    ready_within: float = 600.0
    """Seconds from start to the first healthy answer before the launcher gives up."""
    hints: Mapping[Reason, str] = field(default_factory=lambda: MappingProxyType({}))
    """What helps with this model, where that is more than the engine can say of any."""
    home: str = ""
    """The name of a home that no other model's engines share; empty for that of its kind."""
    weighed: bool = False
    """Whether its log does not tell what it takes of the host, so that its processes have to be
    looked at once it answers."""
    files: tuple[Path, ...] = ()
    """What it reads until it is ready, where reading is most of the work."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What went wrong, in one line for the user, and what to do about it."""

    reason: Reason
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """An installed build of an engine, as `status` and `inspect` show it."""

    engine: str
    version: str
    source: str
    """Where it came from: `wheel`, `native`, `system`, ..."""

    def __str__(self) -> str:
        """For people, and to know what was measured with it: `b11549 (native)`."""
        return f"{self.version} ({self.source})"


class Engine(Protocol):
    """A kind of engine."""

    @property
    def name(self) -> str:
        """As in URLs and tables: `llama.cpp`, `vllm`."""
        ...

    @property
    def formats(self) -> frozenset[Format]: ...

    def build(self) -> Build | None:
        """The installed build that `command` would use; None when not installed. May touch disk."""
        ...

    def command(self, model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> Command:
        """What to start. Raises InvalidSetting, UnsupportedFormat, NotInstalled."""
        ...

    def check_settings(self, settings: RunSettings) -> None:
        """Refuse settings that `command` would refuse. Raises InvalidSetting."""
        ...

    @property
    def tenant_flags(self) -> tuple[str, ...]:
        """Runtime flags to load with where tenants must not meet in a prompt cache."""
        ...

    def tenant_fields(self, salt: str | None) -> Mapping[str, object]:
        """What to put into a tenant's requests; None: for a request that may read every cache."""
        ...

    def diagnose(self, exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
        """Why it failed. `exit_code` is None when it never became ready, negative for a signal."""
        ...


class Instance(Protocol):
    """A running engine process that has answered its health check."""

    @property
    def socket(self) -> Path: ...

    @property
    def pid(self) -> int: ...

    @property
    def log_tail(self) -> tuple[str, ...]:
        """The last lines it wrote, oldest first."""
        ...

    @property
    def hung(self) -> bool:
        """Whether `watch` has ended it."""
        ...

    async def watch(self) -> None:
        """End it when it gives no sign of life for longer than any work takes. Cancel it when done.

        A step of an engine's work has no bound: reading a prompt in one batch takes minutes on a
        slow processor. So this is for what never ends, and answers waiting there end with it.
        """
        ...

    async def wait(self) -> int:
        """The exit code, once it has ended; negative for a signal. Safe to await more than once."""
        ...

    async def stop(self) -> None:
        """TERM to the group, wait, KILL, reap, remove the socket. Idempotent, always returns."""
        ...


class Launcher(Protocol):
    """Where engine processes run. The local machine now; other nodes through the same joint."""

    async def start(
        self,
        engine: Engine,
        command: Command,
        *,
        label: str,
        log: Callable[[str], None],
        progress: Callable[[float], None] = lambda _: None,
    ) -> Instance:
        """Start and wait for readiness: the first of healthy, exited, deadline.

        `label` names the model in logs; `log` receives every output line, `progress` now and then
        the share of `command.files` that was read, 0 to 1. On failure or cancellation nothing is
        left behind. Raises LaunchFailed, NotReadyInTime.
        """
        ...
