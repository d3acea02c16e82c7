"""The scheduler under any order of events: nothing lost, doubled or cut, no overdraft.

Time is a number that only this machine moves.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stoker.base.errors import LaunchFailed
from stoker.planner.spec import FOREVER
from stoker.scheduler import events as ev
from stoker.scheduler.core import Core
from stoker.scheduler.events import Generation, RunnerKey, RunnerState, Ticket
from tests.scheduler.test_core import request

BUDGET = 100
MODELS = {"a": 10, "b": 30, "c": 50, "d": 60, "e": 90, "f": 140}


class Machine(RuleBasedStateMachine):
    """Drives a core as its shell would, and keeps its own account of the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(memory_budget=BUDGET, patience=20, wait=100)
        self.asked: dict[Ticket, float] = {}
        self.unused: dict[RunnerKey, float] = {}
        self.now = 0.0
        self.room = BUDGET
        self.tickets = 0
        self.waiting: dict[Ticket, RunnerKey] = {}
        self.held: dict[Ticket, tuple[RunnerKey, Generation]] = {}
        self.loading: dict[RunnerKey, Generation] = {}
        self.ready: dict[RunnerKey, Generation] = {}
        self.stopping: dict[RunnerKey, Generation] = {}
        self.keys = {request(name, memory=m).key: m for name, m in MODELS.items()}

    def tell(self, event: ev.Event) -> None:
        for effect in self.core.handle(event, self.now, self.room):
            match effect:
                case ev.Start():
                    key = effect.request.key
                    running = {**self.loading, **self.ready, **self.stopping}
                    assert key not in running, "a load was doubled"
                    fits = self.core.memory_used <= min(BUDGET, self.room)
                    guessed = not effect.request.known and len(self.core.runners) == 1
                    assert fits or guessed, "started into memory that is not there"
                    self.loading[key] = effect.generation
                case ev.Stop():
                    assert not any(
                        held == (effect.key, effect.generation) for held in self.held.values()
                    ), "a busy runner was stopped"
                    if "least recently" in effect.reason and effect.key in self.unused:
                        assert self.now - self.unused[effect.key] >= self.core.dwell, "no dwell"
                    self.unused.pop(effect.key, None)
                    self.loading.pop(effect.key, None)
                    self.ready.pop(effect.key, None)
                    assert effect.key not in self.stopping, "stopped twice"
                    self.stopping[effect.key] = effect.generation
                case ev.Grant():
                    assert self.waiting.pop(effect.ticket) == effect.key
                    assert self.ready[effect.key] == effect.generation
                    self.unused.pop(effect.key, None)
                    self.held[effect.ticket] = (effect.key, effect.generation)
                case ev.Refuse():
                    del self.waiting[effect.ticket]

    @rule(
        name=st.sampled_from("abcdef"),
        keep=st.sampled_from([None, 0.0, 5.0, FOREVER]),
        known=st.booleans(),
    )
    def ask(self, name: str, keep: float | None, known: bool) -> None:  # noqa: FBT001
        wanted = replace(request(name, memory=MODELS[name]), known=known)
        self.tickets += 1
        ticket = Ticket(self.tickets)
        self.waiting[ticket] = wanted.key
        self.asked[ticket] = self.now
        self.tell(ev.Requested(ticket, wanted, keep))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[ticket]
        self.tell(ev.Released(ticket))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[ticket]
        self.tell(ev.Released(ticket))

    @precondition(lambda self: self.loading)
    @rule(data=st.data(), fails=st.booleans())
    def loaded(self, data: st.DataObject, fails: bool) -> None:  # noqa: FBT001
        key = data.draw(st.sampled_from(sorted(self.loading, key=str)))
        generation = self.loading.pop(key)
        if fails:
            error = LaunchFailed("broken", engine="llama.cpp")
            self.tell(ev.LaunchFailed(key, generation, error))
        else:
            self.ready[key] = generation
            self.unused[key] = self.now
            self.tell(ev.Started(key, generation))

    @precondition(lambda self: self.ready)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.ready, key=str)))
        self.tell(ev.Exited(key, self.ready.pop(key)))

    @precondition(lambda self: self.stopping)
    @rule(data=st.data())
    def stopped(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.stopping, key=str)))
        self.tell(ev.Exited(key, self.stopping.pop(key)))

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        """As the shell's timer does: a tick at each deadline on the way."""
        end = self.now + seconds
        while (due := self.core.next_deadline(self.now)) is not None and due <= end:
            assert due > self.now, "the timer would spin"
            self.now = due
            self.tell(ev.TimePassed())
        self.now = end

    @rule(room=st.sampled_from([0, 25, 55, 95, 200]))
    def strangers_take_and_give(self, room: int) -> None:
        self.room = room

    @rule(name=st.sampled_from("abcdef"))
    def unload(self, name: str) -> None:
        self.tell(ev.UnloadAsked(frozenset([request(name).key])))

    @invariant()
    def books_agree(self) -> None:
        states = {key: (r.state, r.generation) for key, r in self.core.runners.items()}
        mine = {k: (RunnerState.LOADING, g) for k, g in self.loading.items()}
        mine |= {k: (RunnerState.READY, g) for k, g in self.ready.items()}
        mine |= {k: (RunnerState.STOPPING, g) for k, g in self.stopping.items()}
        assert states == mine
        assert self.core.waiting == len(self.waiting)

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        # The tick comes at the deadline, and this machine may be asked just before it.
        assert all(self.now - self.asked[ticket] <= 100 for ticket in self.waiting)

    @invariant()
    def the_budget_holds(self) -> None:
        used = sum(self.keys[key] for key in self.core.runners)
        assert used == self.core.memory_used
        assert used <= BUDGET or len(self.core.runners) == 1

    def teardown(self) -> None:
        """Whatever happened: when loads succeed and answers end, everybody is served or refused."""
        for _ in range(300):
            if not self.waiting:
                break
            for key, generation in list(self.loading.items()):
                if self.loading.get(key) == generation:
                    self.ready[key] = self.loading.pop(key)
                    self.tell(ev.Started(key, generation))
            for ticket in list(self.held):
                del self.held[ticket]
                self.tell(ev.Released(ticket))
            for key in list(self.stopping):
                self.tell(ev.Exited(key, self.stopping.pop(key)))
            self.now += 1
            self.tell(ev.TimePassed())
        assert not self.waiting, "a request was lost"


TestScheduler = Machine.TestCase
TestScheduler.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
