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
    expires: float = FOREVER
    """When it is stopped if nobody asks for it; never while it is not idle."""
    loads: bool = False
    """Whether it takes memory by now; before that it is only entered."""
    served: bool = False
    unload: bool = False
    """Asked to go while it was loading or busy: stops at the first idle moment."""

    @property
    def idle(self) -> bool:
        return self.state is RunnerState.READY and not self.holders

    @property
    def pinned(self) -> bool:
        """Kept for ever: given up only by `unload`."""
        return self.keep_alive == FOREVER and self.state is not RunnerState.STOPPING

    def becomes(self, state: RunnerState, now: float) -> None:
        """Enter the next state of its life."""
        self.state, self.since = state, now
        self.rests(now)

    def keeps(self, keep_alive: float) -> None:
        """Another keep-alive from here on."""
        self.keep_alive = keep_alive
        self.expires = self.idle_since + keep_alive if self.idle else FOREVER

    def serves(self, ticket: Ticket) -> None:
        """Somebody holds it."""
        self.holders.add(ticket)
        self.served = True
        self.expires = FOREVER

    def rests(self, now: float) -> None:
        """It was used until now."""
        self.idle_since = now
        self.keeps(self.keep_alive)
