"""The scheduler's core, driven by events and a clock that is a number."""

from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import (
    Conflict,
    DoesNotFit,
    Draining,
    LaunchFailed,
    QueueFull,
    WaitedTooLong,
)
from stoker.oci.digest import digest_of
from stoker.planner.spec import (
    FOREVER,
    Cost,
    Format,
    Mode,
    ModelSpec,
    Offload,
    RunSettings,
    Way,
)
from stoker.scheduler import events as ev
from stoker.scheduler.core import Core
from stoker.scheduler.events import RunnerState, RunRequest, Ticket


def way(memory: int, *, known: bool = True, rank: int = 0, **devices: int) -> Way:
    """What it costs, with settings that tell one from another."""
    offload = Offload(tuple((device, rank) for device in devices))
    return Way(RunSettings(offload=offload), Cost(memory, known, devices), rank=rank)


def request(
    name: str,
    *ways: Way,
    memory: int = 10,
    keep_alive: float | None = None,
    known: bool = False,
) -> RunRequest:
    settings = RunSettings(keep_alive=keep_alive)
    ways = tuple(replace(w, settings=replace(w.settings, keep_alive=keep_alive)) for w in ways)
    model = ModelSpec(
        id=digest_of(name.encode()),
        name=name,
        format=Format.GGUF,
        weights=Path(f"/models/{name}.gguf"),
        weights_size=memory,
    )
    chosen = ways or (Way(settings, Cost(memory, known)),)
    return RunRequest("llama.cpp", model, Mode.COMPLETION, chosen)


class Driver:
    """A core and the shortest way to tell it things."""

    def __init__(self, budget: int = 100, **options: float) -> None:
        self.room: int | None = None
        self.core = Core(memory_budget=budget, **options)  # type: ignore[arg-type]
        self.now = 0.0
        self.tickets = 0

    def ask(self, request: RunRequest, **more: float) -> tuple[Ticket, list[ev.Effect]]:
        self.tickets += 1
        ticket = Ticket(self.tickets)
        return ticket, self.tell(ev.Requested(ticket, request, **more))

    def tell(self, event: ev.Event) -> list[ev.Effect]:
        return self.core.handle(event, self.now, self.room)

    def started(self, effects: list[ev.Effect]) -> list[ev.Effect]:
        """Report the one start among these effects as done."""
        (start,) = [e for e in effects if isinstance(e, ev.Start)]
        return self.tell(ev.Started(start.request.key, start.generation))

    def ready(self, request: RunRequest) -> Ticket:
        """Load a model and hold it."""
        ticket, effects = self.ask(request)
        granted = self.started(effects)
        assert granted == [ev.Grant(ticket, request.key, self.core.runners[request.key].generation)]
        return ticket


def test_the_first_request_loads_and_is_granted_when_ready() -> None:
    driver = Driver()
    driver.ready(request("a"))


def test_a_second_request_joins_the_load() -> None:
    driver = Driver()
    _, first = driver.ask(request("a"))
    _, second = driver.ask(request("a"))
    assert second == []
    grants = driver.started(first)
    assert [type(e) for e in grants] == [ev.Grant, ev.Grant]


def test_a_load_outlives_who_asked_for_it() -> None:
    driver = Driver()
    ticket, effects = driver.ask(request("a"))
    assert driver.tell(ev.Released(ticket)) == []
    assert driver.started(effects) == []
    assert driver.core.runners[request("a").key].state is RunnerState.READY


def test_a_failed_load_refuses_everyone_who_waited() -> None:
    driver = Driver()
    first, effects = driver.ask(request("a"))
    second, _ = driver.ask(request("a"))
    (start,) = effects
    assert isinstance(start, ev.Start)
    error = LaunchFailed("no", engine="llama.cpp")
    refused = driver.tell(ev.LaunchFailed(start.request.key, start.generation, error))
    assert refused == [ev.Refuse(first, error), ev.Refuse(second, error)]
    assert not driver.core.runners


def test_idle_runners_expire_and_busy_ones_do_not() -> None:
    driver = Driver()
    ticket = driver.ready(request("a"))
    driver.now = 10_000
    assert driver.tell(ev.TimePassed()) == []
    driver.tell(ev.Released(ticket))
    assert driver.core.next_deadline(driver.now) == pytest.approx(10_300)
    driver.now = 10_300
    (stop,) = driver.tell(ev.TimePassed())
    assert isinstance(stop, ev.Stop)


def test_keep_alive_zero_stops_at_once_and_forever_never() -> None:
    driver = Driver()
    ticket = driver.ready(request("a", keep_alive=0))
    assert [type(e) for e in driver.tell(ev.Released(ticket))] == [ev.Stop]
    held = driver.ready(request("b", keep_alive=FOREVER))
    driver.tell(ev.Released(held))
    assert driver.core.next_deadline(driver.now) is None


def test_a_request_may_change_keep_alive_of_a_new_and_of_a_running_model() -> None:
    driver = Driver()
    ticket, effects = driver.ask(request("a"), keep_alive=FOREVER)
    driver.started(effects)
    driver.tell(ev.Released(ticket))
    assert driver.core.next_deadline(driver.now) is None
    again, _ = driver.ask(request("a"), keep_alive=7)
    driver.tell(ev.Released(again))
    assert driver.core.next_deadline(driver.now) == pytest.approx(7)


def test_the_least_recently_used_idle_model_makes_room() -> None:
    driver = Driver(budget=100)
    for name in ("a", "b"):
        held = driver.ready(request(name, memory=40))
        driver.now += 1
        driver.tell(ev.Released(held))
    _, effects = driver.ask(request("c", memory=40))
    assert [e.key for e in effects if isinstance(e, ev.Stop)] == [request("a").key]
    (stop,) = effects
    assert isinstance(stop, ev.Stop)
    (start,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(start, ev.Start)
    assert start.request.model.name == "c"


def test_a_busy_model_is_never_stopped_for_another() -> None:
    driver = Driver(budget=100)
    held = driver.ready(request("a", memory=80))
    _, effects = driver.ask(request("b", memory=80))
    assert effects == []
    assert [type(e) for e in driver.tell(ev.Released(held))] == [ev.Stop]


def test_a_busy_neighbour_cannot_starve_a_waiter() -> None:
    driver = Driver(budget=100, patience=20)
    held = driver.ready(request("a", memory=80))
    driver.ask(request("b", memory=80))
    for _ in range(5):  # one request after another keeps `a` busy
        driver.now += 5
        following, effects = driver.ask(request("a", memory=80))
        granted = [e for e in effects if isinstance(e, ev.Grant)]
        if driver.now < 20:
            assert granted
            driver.tell(ev.Released(held))
            held = following
        else:
            assert not granted
    (stop,) = driver.tell(ev.Released(held))
    assert isinstance(stop, ev.Stop)
    (start,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(start, ev.Start)
    assert start.request.model.name == "b"


def test_a_model_larger_than_the_budget_runs_alone() -> None:
    driver = Driver(budget=100)
    held = driver.ready(request("small", memory=10))
    driver.tell(ev.Released(held))
    _, effects = driver.ask(request("huge", memory=500))
    (stop,) = effects
    assert isinstance(stop, ev.Stop)
    (start,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(start, ev.Start)


def test_what_is_known_not_to_fit_is_refused_and_nothing_is_stopped_for_it() -> None:
    driver = Driver(budget=100)
    driver.tell(ev.Released(driver.ready(request("small"))))
    _, effects = driver.ask(request("huge", memory=500, known=True))
    (refused,) = effects
    assert isinstance(refused, ev.Refuse)
    assert isinstance(refused.error, DoesNotFit)
    assert "400.00B are missing" in refused.error.message
    assert driver.core.runners


def test_memory_that_strangers_hold_is_not_planned_with() -> None:
    driver = Driver(budget=100)
    driver.room = 60
    held = driver.ready(request("a", memory=40))
    driver.tell(ev.Released(held))
    _, effects = driver.ask(request("b", memory=40, known=True))
    (stop,) = effects
    assert isinstance(stop, ev.Stop)
    # While it stops, another program takes what it gives back.
    driver.room = 30
    (refused,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(refused, ev.Refuse)
    assert "other programs hold 70.00B" in refused.error.message


def test_a_model_kept_for_ever_turns_an_intruder_away() -> None:
    driver = Driver(budget=100)
    held = driver.ready(request("pinned", memory=80, keep_alive=FOREVER))
    driver.tell(ev.Released(held))
    ticket, effects = driver.ask(request("b", memory=80))
    (refused,) = effects
    assert isinstance(refused, ev.Refuse)
    assert refused.ticket == ticket
    assert isinstance(refused.error, Conflict)
    assert "pinned" in str(refused.error)


def test_unload_skips_what_is_busy_and_what_is_awaited() -> None:
    driver = Driver()
    held = driver.ready(request("a"))
    driver.ask(request("b"))
    assert driver.tell(ev.UnloadAsked(None)) == []
    driver.tell(ev.Released(held))
    assert [type(e) for e in driver.tell(ev.UnloadAsked(None))] == [ev.Stop]


def test_a_request_during_the_stop_starts_the_model_again() -> None:
    driver = Driver()
    held = driver.ready(request("a"))
    driver.tell(ev.Released(held))
    (stop,) = driver.tell(ev.UnloadAsked(None))
    assert isinstance(stop, ev.Stop)
    _, effects = driver.ask(request("a"))
    assert effects == []
    assert [type(e) for e in driver.tell(ev.Exited(stop.key, stop.generation))] == [ev.Start]


def test_news_of_an_earlier_life_is_ignored() -> None:
    driver = Driver()
    held = driver.ready(request("a"))
    old = driver.core.runners[request("a").key].generation
    driver.tell(ev.Exited(request("a").key, old))
    driver.ready(request("a"))
    assert driver.tell(ev.Exited(request("a").key, old)) == []
    assert driver.tell(ev.Released(held)) == []
    assert driver.core.runners[request("a").key].holders


def test_draining_refuses_and_stops() -> None:
    driver = Driver()
    held = driver.ready(request("a"))
    waiting, _ = driver.ask(request("b", memory=1000))
    refused = driver.tell(ev.DrainAsked())
    assert [e.ticket for e in refused if isinstance(e, ev.Refuse)] == [waiting]
    _, late = driver.ask(request("a"))
    assert isinstance(late[0], ev.Refuse)
    assert isinstance(late[0].error, Draining)
    assert [type(e) for e in driver.tell(ev.Released(held))] == [ev.Stop]


def test_the_queue_is_bounded() -> None:
    driver = Driver(queue_limit=2)
    for _ in range(2):
        driver.ask(request("a"))
    _, effects = driver.ask(request("a"))
    assert isinstance(effects[0], ev.Refuse)
    assert isinstance(effects[0].error, QueueFull)


def fail(driver: Driver, wish: RunRequest, error: LaunchFailed) -> list[ev.Effect]:
    """Ask; when that starts the runner, let it fail."""
    _, effects = driver.ask(wish)
    if effects and isinstance(effects[0], ev.Start):
        driver.tell(ev.LaunchFailed(wish.key, effects[0].generation, error))
    return effects


def test_what_fails_to_start_again_and_again_is_tried_less_often() -> None:
    driver, error = Driver(), LaunchFailed("bad file", engine="llama.cpp")
    tries = 0
    for _ in range(100):
        (effect,) = fail(driver, request("a"), error)
        tries += isinstance(effect, ev.Start)
        if isinstance(effect, ev.Refuse):
            assert effect.error is error
        driver.now += 1
    assert tries == 9  # at 0, 1, 2, 4, 8, 16, 32, 62 and 92 s
    assert not driver.core.waiting


def test_mended_settings_are_tried_at_once() -> None:
    driver, error = Driver(), LaunchFailed("bad flag", engine="llama.cpp")
    for _ in range(5):
        fail(driver, request("a"), error)
    (refused,) = fail(driver, request("a"), error)
    assert isinstance(refused, ev.Refuse)
    (start,) = fail(driver, request("a", keep_alive=7), error)
    assert isinstance(start, ev.Start)
    for _ in range(5):
        fail(driver, request("a"), error)
    driver.tell(ev.UnloadAsked(frozenset([request("a").key])))
    (start,) = fail(driver, request("a"), error)
    assert isinstance(start, ev.Start)


def test_a_runner_that_died_is_given_to_nobody() -> None:
    """Also while what it has left behind is still being cleared away."""
    driver, wish = Driver(), request("a")
    _, effects = driver.ask(wish)
    driver.started(effects)
    life = wish.key, driver.core.runners[wish.key].generation
    driver.tell(ev.Died(*life))
    _, effects = driver.ask(wish)
    assert effects == []
    (start,) = driver.tell(ev.Exited(*life))
    assert isinstance(start, ev.Start)


def test_a_runner_that_crashes_in_a_row_comes_back_after_a_pause() -> None:
    driver, wish = Driver(), request("a")
    for _ in range(4):
        _, effects = driver.ask(wish)
        while not driver.core.runs(wish.key):
            due = driver.core.next_deadline(driver.now)
            assert due is not None
            assert due - driver.now <= 30
            driver.now = due
            effects = driver.tell(ev.TimePassed())
        driver.started(effects)
        life = wish.key, driver.core.runners[wish.key].generation
        driver.tell(ev.Died(*life))
        driver.tell(ev.Exited(*life))
    assert driver.now == pytest.approx(1 + 2)
    ticket, effects = driver.ask(wish)
    assert effects == []
    other, started = driver.ask(request("b"))
    assert [type(e) for e in started] == [ev.Start]
    driver.tell(ev.Released(other))
    driver.tell(ev.Released(ticket))


def test_a_wait_has_a_limit() -> None:
    driver = Driver(budget=100, wait=60)
    driver.ready(request("a", memory=80))
    ticket, _ = driver.ask(request("b", memory=80))
    soon, _ = driver.ask(request("b", memory=80), wait=5)
    for at, late in ((5, soon), (60, ticket)):
        effects: list[ev.Effect] = []
        while driver.now < at:
            due = driver.core.next_deadline(driver.now)
            assert due is not None
            driver.now = due
            effects = driver.tell(ev.TimePassed())
        (refused,) = effects
        assert isinstance(refused, ev.Refuse)
        assert refused.ticket == late
        assert isinstance(refused.error, WaitedTooLong)
    assert not driver.core.waiting


def test_a_model_nobody_used_yet_is_not_evicted_at_once() -> None:
    driver = Driver(budget=100, dwell=10)
    ticket, effects = driver.ask(request("a", memory=80))
    driver.tell(ev.Released(ticket))
    driver.started(effects)
    _, effects = driver.ask(request("b", memory=80))
    assert effects == []
    assert driver.core.next_deadline(0) == 10
    driver.now = 10
    assert [type(e) for e in driver.tell(ev.TimePassed())] == [ev.Stop]
