"""The scheduler's core where models share GPUs."""

import pytest

from stoker.base.errors import Conflict, DoesNotFit, LaunchFailed
from stoker.planner.devices import HOST, Device
from stoker.planner.spec import FOREVER
from stoker.scheduler import events as ev
from stoker.scheduler.events import RunRequest
from stoker.scheduler.roster import SETTLE
from tests.scheduler.test_core import Driver, request, way
from tests.scheduler.test_ledger import gpu


class Gpus(Driver):
    """A core on a machine with these GPUs; `taken`: what others hold of them."""

    def __init__(self, *names: str, **options: float) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.names = names
        self.taken: dict[str, int] = {}
        self.look()

    def look(self) -> None:
        """As an engine lists them: what our own hold is not free either."""
        held: dict[str, int] = {}
        for key, runner in self.core.runners.items():
            if runner.state is not ev.RunnerState.LOADING:
                for memory, size in self.core.ledger.held[key].items():
                    held[memory] = held.get(memory, 0) + size
        self.core.see(tuple(self._gpu(name, held) for name in self.names), self.now)

    def _gpu(self, name: str, held: dict[str, int]) -> Device:
        return gpu(100 - self.taken.get(name, 0) - held.get(name, 0), name)

    def idle(self, wish: RunRequest) -> None:
        """Use a model, loaded for that if need be, and let go of it."""
        if self.core.runs(wish.key):
            ticket, _ = self.ask(wish)
        else:
            ticket = self.ready(wish)
        self.tell(ev.Released(ticket))
        self.now += 1


def on(name: str, size: int = 60, **more: float) -> RunRequest:
    """Whole on G0."""
    return request(name, way(5, G0=size), **more)  # type: ignore[arg-type]


def flexible(name: str) -> RunRequest:
    """Whole on G0, else half, else on the CPU."""
    return request(name, way(5, G0=60), way(20, rank=1, G0=30), way(40, rank=2))


def stopped(effects: list[ev.Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, ev.Stop)]


def started(effects: list[ev.Effect]) -> dict[str, int]:
    """What the one that starts takes of GPUs."""
    (start,) = [effect for effect in effects if isinstance(effect, ev.Start)]
    return dict(start.request.cost.devices)


def refused(effects: list[ev.Effect]) -> str:
    (effect,) = effects
    assert isinstance(effect, ev.Refuse)
    assert isinstance(effect.error, DoesNotFit | Conflict)
    return effect.error.message


def test_models_on_different_gpus_and_on_the_cpu_live_side_by_side() -> None:
    driver = Gpus("G0", "G1")
    for wish in (on("a"), request("b", way(5, G1=60)), request("c", way(80))):
        driver.idle(wish)
    assert len(driver.core.runners) == 3


def test_only_who_holds_what_is_missing_goes() -> None:
    driver = Gpus("G0", "G1")
    driver.idle(request("cpu", way(50)))
    driver.idle(request("other", way(5, G1=90)))
    driver.idle(on("older"))
    driver.idle(on("younger", 30))
    _, effects = driver.ask(on("new"))
    assert [e.key for e in effects if isinstance(e, ev.Stop)] == [on("older").key]


def test_a_small_one_does_not_go_with_a_large_one_that_does_alone() -> None:
    driver = Gpus("G0")
    driver.idle(on("small", 10))
    driver.idle(on("large", 80))
    _, effects = driver.ask(on("new", 85))
    assert [e.key for e in effects if isinstance(e, ev.Stop)] == [on("large").key]


def test_of_gpus_that_are_as_good_the_free_one_is_taken_then_the_one_used_least() -> None:
    driver = Gpus("G0", "G1")

    def either(name: str) -> RunRequest:
        return request(name, way(5, G0=60), way(5, G1=60))

    driver.idle(either("a"))
    assert driver.core.ledger.used["G0"] == 60
    driver.idle(either("b"))
    assert driver.core.ledger.used["G1"] == 60
    driver.idle(either("a"))
    _, effects = driver.ask(either("c"))
    assert [e.key for e in effects if isinstance(e, ev.Stop)] == [either("b").key]


def test_idle_models_go_before_a_model_gets_less_of_the_gpu() -> None:
    driver = Gpus("G0")
    driver.idle(on("a"))
    _, effects = driver.ask(flexible("b"))
    (stop,) = effects
    assert isinstance(stop, ev.Stop)
    assert started(driver.tell(ev.Exited(stop.key, stop.generation))) == {"G0": 60}


def test_a_busy_gpu_is_waited_for_and_then_done_with_less_of() -> None:
    driver = Gpus("G0", patience=20)
    driver.ready(on("a"))
    _, effects = driver.ask(flexible("b"))
    assert effects == []
    assert driver.core.next_deadline(0) == 20
    driver.now = 20
    assert started(driver.tell(ev.TimePassed())) == {"G0": 30}
    # Nobody waits any more, so nobody's neighbours are kept from work.
    _, effects = driver.ask(on("a"))
    assert [type(effect) for effect in effects] == [ev.Grant]


def test_a_busy_gpu_that_has_nothing_left_sends_the_model_to_the_cpu() -> None:
    driver = Gpus("G0", patience=20)
    driver.ready(on("a", 90))
    driver.ask(flexible("b"))
    driver.now = 20
    assert started(driver.tell(ev.TimePassed())) == {}


def test_beside_a_model_kept_for_ever_there_is_no_wait() -> None:
    driver = Gpus("G0")
    driver.ready(request("pinned", way(5, G0=60), keep_alive=FOREVER))
    assert driver.core.runners[on("pinned").key].pinned
    _, effects = driver.ask(flexible("b"))
    assert started(effects) == {"G0": 30}
    assert "G0" in refused(driver.ask(on("c"))[1])


def test_what_others_hold_is_not_counted_on() -> None:
    driver = Gpus("G0")
    driver.taken["G0"] = 50
    driver.look()
    message = refused(driver.ask(on("a"))[1])
    for words in ("60.00B of G0", "50.00B can be used", "10.00B are missing", "others"):
        assert words.replace("others", "other programs hold 50.00B") in message
    _, effects = driver.ask(flexible("b"))
    assert started(effects) == {"G0": 30}


def test_who_fits_beside_what_is_waited_for_need_not_wait() -> None:
    driver = Gpus("G0")
    held = driver.ready(on("a"))
    driver.ask(on("b"))
    _, effects = driver.ask(request("small", way(50)))
    assert started(effects) == {}
    # This one would take what `b` needs of the host once `a` is gone.
    _, effects = driver.ask(request("large", way(45)))
    assert effects == []
    _, effects = driver.ask(on("c", 10))
    assert effects == []
    assert len(stopped(driver.tell(ev.Released(held)))) == 1


def test_only_the_neighbours_on_that_gpu_get_no_new_work() -> None:
    driver = Gpus("G0", "G1", patience=20)
    driver.ready(on("a"))
    driver.ready(request("other", way(5, G1=60)))
    driver.ask(on("b"))
    driver.now = 20
    driver.tell(ev.TimePassed())
    assert driver.ask(on("a"))[1] == []
    assert [type(e) for e in driver.ask(request("other", way(5, G1=60)))[1]] == [ev.Grant]


def load(driver: Gpus, wish: RunRequest) -> list[ev.Effect]:
    """Decide to start it, look again, and begin to load."""
    _, effects = driver.ask(wish)
    (start,) = effects
    assert isinstance(start, ev.Start)
    driver.look()
    return driver.tell(ev.AboutToLoad(start.request.key, start.generation))


def test_a_plan_overtaken_by_another_program_is_made_anew() -> None:
    driver = Gpus("G0")
    driver.ask(flexible("b"))
    driver.taken["G0"] = 50
    driver.look()
    (generation,) = [runner.generation for runner in driver.core.runners.values()]
    (stop,) = driver.tell(ev.AboutToLoad(flexible("b").key, generation))
    assert isinstance(stop, ev.Stop)
    assert "another program took 10.00B of G0" in stop.reason
    assert started(driver.tell(ev.Exited(stop.key, stop.generation))) == {"G0": 30}


def test_a_plan_overtaken_and_without_another_way_is_refused_once() -> None:
    driver = Gpus("G0")
    driver.taken["G0"] = 30
    driver.look()
    ticket, _ = driver.ask(on("a"))
    driver.taken["G0"] = 95
    driver.look()
    (generation,) = [runner.generation for runner in driver.core.runners.values()]
    (stop,) = driver.tell(ev.AboutToLoad(on("a").key, generation))
    assert isinstance(stop, ev.Stop)
    (refusal,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(refusal, ev.Refuse)
    assert refusal.ticket == ticket
    assert not driver.core.runners


def test_a_plan_that_still_holds_goes_on() -> None:
    driver = Gpus("G0")
    driver.idle(on("a", 30))
    assert load(driver, on("b", 60)) == []


def test_what_a_driver_tells_late_is_not_blamed_on_others() -> None:
    driver = Gpus("G0")
    driver.idle(on("a"))
    _, (stop,) = driver.ask(on("b"))
    assert isinstance(stop, ev.Stop)
    (start,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(start, ev.Start)
    driver.taken["G0"] = 60  # what `a` held, as the driver still says
    driver.look()
    life = (start.request.key, start.generation)
    assert driver.tell(ev.AboutToLoad(*life)) == []
    driver.now += SETTLE
    driver.taken["G0"] = 0
    driver.tell(ev.Started(*life))
    driver.look()
    assert driver.core.ledger.limit("G0") == 100


def test_a_gpu_that_vanishes_takes_its_models_along_and_is_not_planned_with() -> None:
    driver = Gpus("G0", "G1")
    driver.idle(flexible("a"))
    driver.names = ("G1",)
    runner = driver.core.runners[flexible("a").key]
    driver.tell(ev.Exited(flexible("a").key, runner.generation))
    driver.look()
    assert "not there any more" in refused(driver.ask(on("b"))[1])
    _, effects = driver.ask(flexible("a"))
    assert started(effects) == {}


@pytest.mark.parametrize("size", [101, 1 << 62])
def test_more_than_the_gpu_has_is_refused_and_nothing_is_stopped(size: int) -> None:
    driver = Gpus("G0")
    driver.idle(on("a"))
    message = refused(driver.ask(on("b", size))[1])
    assert "of G0, where 100.00B can be used" in message
    assert driver.core.ledger.used == {"G0": 60, HOST: 5}


def test_host_memory_that_another_program_took_is_seen_before_the_load() -> None:
    driver = Driver(budget=100)
    ticket, (start,) = driver.ask(request("a", memory=60, known=True))
    assert isinstance(start, ev.Start)
    driver.room = 40
    (stop,) = driver.tell(ev.AboutToLoad(start.request.key, start.generation))
    assert isinstance(stop, ev.Stop)
    assert "another program took 20.00B of the host" in stop.reason
    (refusal,) = driver.tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(refusal, ev.Refuse)
    assert refusal.ticket == ticket
    assert "other programs hold 60.00B" in refusal.error.message


def out_of_memory(driver: Gpus, effects: list[ev.Effect]) -> list[ev.Effect]:
    """What starts runs out of memory."""
    (start,) = [effect for effect in effects if isinstance(effect, ev.Start)]
    error = LaunchFailed("no memory", engine="llama.cpp", reason="out_of_memory")
    return driver.tell(ev.LaunchFailed(start.request.key, start.generation, error))


def test_what_runs_out_of_memory_is_loaded_with_less() -> None:
    driver = Gpus("G0")
    _, effects = driver.ask(flexible("a"))
    driver.ask(flexible("a"))
    effects = out_of_memory(driver, effects)
    assert started(effects) == {"G0": 30}
    effects = out_of_memory(driver, effects)
    assert started(effects) == {}
    refusals = out_of_memory(driver, effects)
    assert [type(effect) for effect in refusals] == [ev.Refuse, ev.Refuse]
    assert not driver.core.waiting


def test_what_runs_out_of_memory_in_every_way_is_tried_less_often() -> None:
    driver = Gpus("G0")
    for _ in range(2):
        _, effects = driver.ask(flexible("a"))
        for _ in flexible("a").ways:
            effects = out_of_memory(driver, effects)
    (refusal,) = driver.ask(flexible("a"))[1]
    assert isinstance(refusal, ev.Refuse)
    assert not driver.core.runners


def test_a_load_that_fails_for_another_reason_is_not_tried_with_less() -> None:
    driver = Gpus("G0")
    _, (start,) = driver.ask(flexible("a"))
    assert isinstance(start, ev.Start)
    error = LaunchFailed("bad file", engine="llama.cpp", reason="bad_file")
    (refusal,) = driver.tell(ev.LaunchFailed(start.request.key, start.generation, error))
    assert isinstance(refusal, ev.Refuse)
