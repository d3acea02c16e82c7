"""What the core keeps of a runner. Only the core changes it."""

from dataclasses import dataclass, field

from stoker.planner.spec import FOREVER
from stoker.scheduler.events import Generation, RunnerState, RunRequest, Ticket


@dataclass(slots=True)
class Runner:
    """One engine process, from the decision to start it until it is gone."""

    request: RunRequest
    generation: Generation
    keep_alive: float
    state: RunnerState = RunnerState.LOADING
    holders: set[Ticket] = field(default_factory=set)
    idle_since: float = 0.0
    since: float = 0.0
    """When its state last changed."""
    served: bool = False
    unload: bool = False
    """Asked to go while it was loading or busy: stops at the first idle moment."""

    @property
    def idle(self) -> bool:
        return self.state is RunnerState.READY and not self.holders

    @property
    def expires(self) -> float:
        return self.idle_since + self.keep_alive if self.idle else FOREVER
