"""What `ps` and the metrics show of a runner. A snapshot, never a handle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from stoker.planner.spec import RunSettings
from stoker.scheduler.events import RunnerKey, RunnerState


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """One runner now. `idle_for` in seconds, None while busy or loading; `memory` of the host and
    of `devices` in bytes. `placed`: where its parts are, for people.

    `age`: seconds since its start was decided. `silent_for`: while it loads or stops, seconds since
    its last sign of life. `socket`: where its engine answers, once it does. `settings`: what it was
    started with. `read`: the share of the model's files the engine has taken in, 0 to 1, where that
    is known. `build` is what its process runs; empty until it does.
    """

    key: RunnerKey
    name: str
    state: RunnerState
    in_use: int
    waiting: int
    idle_for: float | None
    keep_alive: float
    memory: int
    pid: int | None
    build: str
    age: float = 0.0
    silent_for: float = 0.0
    read: float | None = None
    socket: Path | None = None
    settings: RunSettings = field(default_factory=RunSettings)
    devices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    placed: str = ""
