"""The scheduler under any order of events: nothing lost, doubled or cut, no memory overdrawn.

Time is a number that only this machine moves; what strangers hold is known to it alone.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stoker.base.errors import LaunchFailed
from stoker.planner.devices import HOST
from stoker.planner.spec import FOREVER, Cost
from stoker.scheduler import events as ev
from stoker.scheduler.core import Core
from stoker.scheduler.events import Generation, RunnerKey, RunnerState, RunRequest, Ticket
from tests.scheduler.test_core import request, way
from tests.scheduler.test_ledger import gpu

BUDGET = 100
"""Of the host and of each GPU."""
HOSTED = {"a": 10, "b": 30, "c": 50, "d": 60, "e": 90, "f": 140}
PLACED = {
    "whole": (way(5, G0=60),),
    "either": (way(5, G0=60), way(5, G1=60), way(40, rank=1)),
    "both": (way(5, G0=80, G1=80), way(30, rank=1, G0=80), way(90, rank=2)),
    "small": (way(5, G1=20),),
    "flexible": (way(5, G0=90), way(20, rank=1, G0=45), way(60, rank=2)),
    "huge": (way(5, G0=140),),
}


def wish(name: str, *, known: bool = True) -> RunRequest:
    if name in HOSTED:
        return request(name, memory=HOSTED[name], known=known)
    return request(name, *PLACED[name])


NAMES = sorted([*HOSTED, *PLACED])


class Machine(RuleBasedStateMachine):
    """Drives a core as its shell would, and keeps its own account of the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(memory_budget=BUDGET, patience=20, wait=100)
        self.asked: dict[Ticket, float] = {}
        self.unused: dict[RunnerKey, float] = {}
        self.now = 0.0
        self.room = BUDGET
        self.gpus = {"G0", "G1"}
        self.taken = dict.fromkeys(self.gpus, 0)
        self.memory: dict[Generation, dict[str, int]] = {}
        """What each life really holds: nothing before it begins to load."""
        self.chosen: dict[Generation, Cost] = {}
        self.tickets = 0
        self.waiting: dict[Ticket, RunnerKey] = {}
        self.held: dict[Ticket, tuple[RunnerKey, Generation]] = {}
        self.loading: dict[RunnerKey, Generation] = {}
        self.ready: dict[RunnerKey, Generation] = {}
        self.stopping: dict[RunnerKey, Generation] = {}
        self.look()

    def look(self) -> None:
        """As an engine lists them."""
        held: Counter[str] = Counter()
        for memory in self.memory.values():
            held.update(memory)
        self.core.see(
            tuple(gpu(max(100 - self.taken[g] - held[g], 0), g) for g in sorted(self.gpus)),
            self.now,
        )

    def tell(self, event: ev.Event) -> None:
        for effect in self.core.handle(event, self.now, self.room):
            match effect:
                case ev.Start():
                    key = effect.request.key
                    running = {**self.loading, **self.ready, **self.stopping}
                    assert key not in running, "a load was doubled"
                    ledger, cost = self.core.ledger, effect.request.cost
                    fits = all(
                        ledger.used[memory] <= ledger.limit(memory)
                        for memory in [HOST, *cost.devices]
                    )
                    guessed = not cost.known and len(self.core.runners) == 1
                    assert fits or guessed, "started into memory that is not there"
                    assert cost.devices.keys() <= self.core.ledger.budgets.keys()
                    self.chosen[effect.generation] = cost
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
        name=st.sampled_from(NAMES),
        keep=st.sampled_from([None, 0.0, 5.0, FOREVER]),
        known=st.booleans(),
    )
    def ask(self, name: str, keep: float | None, known: bool) -> None:  # noqa: FBT001
        wanted = wish(name, known=known)
        if wanted.key not in self.core.runners:
            self.look()
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
    @rule(data=st.data())
    def about_to_load(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.loading, key=str)))
        self.begin(key, self.loading[key])

    def begin(self, key: RunnerKey, generation: Generation) -> None:
        """The last look; whoever is not stopped there takes its memory."""
        if generation not in self.memory:
            self.look()
            self.tell(ev.AboutToLoad(key, generation))
            if self.loading.get(key) == generation:
                self.memory[generation] = dict(self.chosen[generation].devices)

    @precondition(lambda self: self.loading)
    @rule(data=st.data(), fails=st.sampled_from(["", "bad_file", "out_of_memory"]))
    def loaded(self, data: st.DataObject, fails: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.loading, key=str)))
        generation = self.loading[key]
        self.begin(key, generation)
        if self.loading.get(key) != generation:
            return
        del self.loading[key]
        if fails:
            del self.memory[generation]
            error = LaunchFailed("broken", engine="llama.cpp", reason=fails)
            self.tell(ev.LaunchFailed(key, generation, error))
        else:
            self.ready[key] = generation
            self.unused[key] = self.now
            self.tell(ev.Started(key, generation))

    @precondition(lambda self: self.ready)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.ready, key=str)))
        generation = self.stopping[key] = self.ready.pop(key)
        self.tell(ev.Died(key, generation))

    def end(self, key: RunnerKey, generation: Generation) -> None:
        self.memory.pop(generation, None)
        self.tell(ev.Exited(key, generation))

    @precondition(lambda self: self.stopping)
    @rule(data=st.data())
    def stopped(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.stopping, key=str)))
        self.end(key, self.stopping.pop(key))

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

    @rule(gpu=st.sampled_from(["G0", "G1"]), size=st.sampled_from([0, 15, 50, 100]))
    def strangers_use_a_gpu(self, gpu: str, size: int) -> None:
        self.taken[gpu] = size

    @rule(gpu=st.sampled_from(["G0", "G1"]))
    def a_gpu_vanishes_or_comes_back(self, gpu: str) -> None:
        self.gpus ^= {gpu}
        if gpu not in self.gpus:
            for key, generation in list(self.ready.items()):
                if self.memory[generation].get(gpu) and self.ready.get(key) == generation:
                    self.held = {t: h for t, h in self.held.items() if h[1] != generation}
                    self.end(key, self.ready.pop(key))

    @rule(name=st.sampled_from(NAMES))
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
    def the_budgets_hold(self) -> None:
        ledger, used = self.core.ledger, Counter[str]()
        for runner in self.core.runners.values():
            cost = self.chosen[runner.generation]
            used.update({HOST: cost.memory, **cost.devices})
        assert used == Counter(ledger.used)
        assert used[HOST] <= BUDGET or len(self.core.runners) == 1
        assert all(used[gpu] <= BUDGET for gpu in ("G0", "G1"))

    def teardown(self) -> None:
        """Whatever happened: when loads succeed and answers end, everybody is served or refused."""
        for _ in range(300):
            if not self.waiting:
                break
            for key, generation in list(self.loading.items()):
                self.begin(key, generation)
                if self.loading.get(key) == generation:
                    self.ready[key] = self.loading.pop(key)
                    self.tell(ev.Started(key, generation))
            for ticket in list(self.held):
                del self.held[ticket]
                self.tell(ev.Released(ticket))
            for key in list(self.stopping):
                self.end(key, self.stopping.pop(key))
            self.now += 1
            self.tell(ev.TimePassed())
        assert not self.waiting, "a request was lost"


TestScheduler = Machine.TestCase
TestScheduler.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
