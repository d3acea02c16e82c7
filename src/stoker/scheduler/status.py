"""What `ps` and the metrics show of a runner. A snapshot, never a handle."""

from dataclasses import dataclass
from pathlib import Path

from stoker.scheduler.events import RunnerKey, RunnerState


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """One runner now. `idle_for` in seconds, None while busy or loading; memory in bytes.

    `age`: seconds since its start was decided. `socket`: where its engine answers, once it does.
    `read`: the share of the model's files the engine has taken in, 0 to 1, where that is known.
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
    read: float | None = None
    socket: Path | None = None
