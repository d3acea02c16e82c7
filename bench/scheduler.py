"""What a decision of the scheduler costs with 50 models, and a plan of a header of 400 tensors."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.planner import shapes
from tests.scheduler.test_core import Driver, request

from bench.table import show
from stoker.planner.devices import Snapshot
from stoker.planner.fit import place
from stoker.planner.options import Options
from stoker.scheduler import events as ev
from stoker.scheduler.events import Ticket
from stoker.store.headers import gguf_facts

MODELS = 50
TIMES = 2000
HOST = Snapshot(host_total=64 << 30, host_free=64 << 30)


def run() -> None:
    """Print the table: processor time. Goals: 100 µs for a decision, 10 ms for a plan."""
    rows = [
        _row("counting to 2500, for comparison", _times(_counting, TIMES), 1e6, "µs"),
        _row("request to a loaded model", _times(_loaded(0), TIMES), 1e6, "µs", 100),
        _row("the same, 200 others waiting", _times(_loaded(200), TIMES), 1e6, "µs", 100),
        _row("request that has to evict another", _times(_evicting(), TIMES), 1e6, "µs", 100),
        _row("header and plan, 402 tensors", _planned(), 1e3, "ms", 10),
    ]
    show(["what", "median", "99 %", "goal"], rows)


def _row(name: str, seconds: list[float], factor: float, unit: str, goal: int = 0) -> list[str]:
    ranked = sorted(seconds)
    late = ranked[int(len(ranked) * 0.99)]
    median = statistics.median(ranked)
    return [
        name,
        f"{median * factor:.1f} {unit}",
        f"{late * factor:.1f} {unit}",
        f"{goal} {unit}" if goal else "",
    ]


def _times(act: Callable[[], float], count: int) -> list[float]:
    return [act() for _ in range(count)]


def _spent(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def _counting() -> float:
    """Says what this machine, and whoever else uses it, does to a steady piece of work."""
    return _spent(lambda: sum(range(2500)))


def _full() -> Driver:
    """50 idle models that fill the budget."""
    driver = Driver(budget=MODELS * 10 + 1, queue_limit=10_000)
    for number in range(MODELS):
        driver.tell(ev.Released(driver.ready(request(f"m{number}"))))
        driver.now += 0.001
    return driver


def _loaded(waiting: int) -> Callable[[], float]:
    driver = _full()
    if waiting:
        for number in range(MODELS):
            driver.ask(request(f"m{number}"))
        for _ in range(waiting):
            driver.ask(request("other", memory=20))
    wish = request("m7")

    ticket = Ticket(1_000_000)

    def act() -> float:
        seconds = _spent(lambda: driver.tell(ev.Requested(ticket, wish)))
        driver.tell(ev.Released(ticket))
        return seconds

    return act


def _evicting() -> Callable[[], float]:
    driver = _full()
    wish = request("new", memory=10)

    ticket = Ticket(1_000_000)

    def act() -> float:
        effects: list[ev.Effect] = []
        seconds = _spent(lambda: effects.extend(driver.tell(ev.Requested(ticket, wish))))
        (stop,) = effects
        assert isinstance(stop, ev.Stop)
        # Back to where we were: nobody waits any more, and the evicted one is loaded again.
        driver.tell(ev.Released(ticket))
        old = driver.core.runners[stop.key].request
        driver.tell(ev.Exited(stop.key, stop.generation))
        driver.tell(ev.Released(driver.ready(old)))
        return seconds

    return act


def _planned() -> list[float]:
    size = shapes.Size(layers=44, width=256, heads=4, kv_heads=2, head=64, feed_forward=256)
    with tempfile.TemporaryDirectory() as folder:
        path = shapes.write(shapes.dense("llama-44", size), Path(folder))

        def act() -> object:
            return place(gguf_facts(path), HOST, options=Options(context=8192))

        return [_spent(act) for _ in range(50)]


if __name__ == "__main__":
    run()
