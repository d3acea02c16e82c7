"""The vocabulary of the scheduler's core: what happens to it and what it asks for. Frozen."""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType

from stoker.base.errors import StokerError
from stoker.oci.digest import Digest
from stoker.planner.spec import DEFAULT_KEEP_ALIVE, Cost, Mode, ModelSpec, RunSettings, Way

Ticket = NewType("Ticket", int)
"""One request's place in the queue, and later its hold on a runner."""

Generation = NewType("Generation", int)
"""One life of a runner. News of an earlier life is recognised by it and ignored."""


class RunnerKey(NamedTuple):
    """What makes two requests share a process."""

    engine: str
    model: Digest
    mode: Mode


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A wish for a runner. `ways` to run the model, best first: which one is the core's to choose,
    by what memory is free. At least one.
    """

    engine: str
    model: ModelSpec
    mode: Mode
    ways: tuple[Way, ...]
    key: RunnerKey = field(init=False)
    """Kept, for each decision asks for it several times."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", RunnerKey(self.engine, self.model.id, self.mode))

    @property
    def settings(self) -> RunSettings:
        """Of the best way."""
        return self.ways[0].settings

    @property
    def cost(self) -> Cost:
        """Of the best way."""
        return self.ways[0].cost

    @property
    def keep_alive(self) -> float:
        """Seconds an idle runner stays, `inf` for ever."""
        chosen = self.settings.keep_alive
        return DEFAULT_KEEP_ALIVE if chosen is None else chosen


class RunnerState(Enum):
    """The life of a runner; it is forgotten when it has stopped."""

    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"


# What happens. Time comes beside the event, as an argument of `Core.handle`.


@dataclass(frozen=True, slots=True)
class Requested:
    ticket: Ticket
    request: RunRequest
    keep_alive: float | None = None
    """Overrides the settings' keep-alive from here on, as Ollama's `keep_alive` does."""
    wait: float | None = None
    """Seconds after which it is refused if it was not granted; None for the core's own limit."""


@dataclass(frozen=True, slots=True)
class Released:
    """The ticket's owner is done, or left before it was served."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Started:
    key: RunnerKey
    generation: Generation


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    key: RunnerKey
    generation: Generation
    error: StokerError


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended by itself: nobody may have it any more, what it started may still be there.

    Exited follows.
    """

    key: RunnerKey
    generation: Generation


@dataclass(frozen=True, slots=True)
class Exited:
    """Nothing is left of it, whether it ended by itself or by `Stop`."""

    key: RunnerKey
    generation: Generation


@dataclass(frozen=True, slots=True)
class AboutToLoad:
    """Its engine is about to take memory: the last moment to see that somebody else did."""

    key: RunnerKey
    generation: Generation


@dataclass(frozen=True, slots=True)
class UnloadAsked:
    """Stop these runners where they are idle; all idle ones when `keys` is None."""

    keys: frozenset[RunnerKey] | None
    why: str = "it was to be unloaded"


@dataclass(frozen=True, slots=True)
class TimePassed:
    """`Core.next_deadline` has come."""


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """No new requests; everything that is idle stops, the rest when it becomes idle."""


Event = (
    Requested
    | Released
    | AboutToLoad
    | Started
    | LaunchFailed
    | Died
    | Exited
    | UnloadAsked
    | TimePassed
    | DrainAsked
)


# What the core asks for.


@dataclass(frozen=True, slots=True)
class Start:
    """`request` has one way left, the chosen one."""

    generation: Generation
    request: RunRequest
    reason: str = field(default="", compare=False)
    """For people."""


@dataclass(frozen=True, slots=True)
class Stop:
    """`name`: of its model, as it was asked for."""

    key: RunnerKey
    generation: Generation
    name: str = field(compare=False)
    reason: str = field(compare=False)
    """For people."""


@dataclass(frozen=True, slots=True)
class Grant:
    ticket: Ticket
    key: RunnerKey
    generation: Generation


@dataclass(frozen=True, slots=True)
class Refuse:
    ticket: Ticket
    error: StokerError


Effect = Start | Stop | Grant | Refuse
