"""What the core keeps of a runner. Only the core changes it."""

from dataclasses import dataclass, field

from stoker.planner.spec import FOREVER, Way
from stoker.scheduler.events import Generation, RunnerState, RunRequest, Ticket


@dataclass(slots=True)
class Runner:
    """One engine process, from the decision to start it until it is gone."""

    request: RunRequest
    """As it was asked for."""
    way: Way
    """The one of its ways that was chosen."""
    generation: Generation
    keep_alive: float
    since: float
    """When its state last changed."""
    state: RunnerState = RunnerState.LOADING
    holders: set[Ticket] = field(default_factory=set)
    idle_since: float = 0.0
    loads: bool = False
    """Whether it takes memory by now; before that it is only entered."""
    served: bool = False
    unload: str = ""
    """Why it is to go at the first idle moment; empty while it may stay."""
    # Looked at for every runner in every decision, so they are kept and not computed there.
    idle: bool = field(default=False, init=False)
    pinned: bool = field(default=False, init=False)
    """Kept for ever: given up only by `unload`."""
    expires: float = field(default=FOREVER, init=False)
    """When it is stopped if nobody asks for it; never while it is not idle."""

    def __post_init__(self) -> None:
        self._settle()

    @property
    def open(self) -> bool:
        """Whether it takes more work."""
        return self.state is RunnerState.READY and not self.unload

    def becomes(self, state: RunnerState, now: float) -> None:
        """Enter the next state of its life."""
        self.state = state
        self.since = self.idle_since = now
        self._settle()

    def keeps(self, keep_alive: float) -> None:
        """Another keep-alive from here on."""
        self.keep_alive = keep_alive
        self._settle()

    def serves(self, ticket: Ticket) -> None:
        """Somebody holds it."""
        self.holders.add(ticket)
        self.served = True
        self._settle()

    def released(self, ticket: Ticket, now: float) -> None:
        """Somebody holds it no more."""
        self.holders.remove(ticket)
        self.idle_since = now
        self._settle()

    def _settle(self) -> None:
        self.idle = self.state is RunnerState.READY and not self.holders
        self.pinned = self.keep_alive == FOREVER and self.state is not RunnerState.STOPPING
        self.expires = self.idle_since + self.keep_alive if self.idle else FOREVER
