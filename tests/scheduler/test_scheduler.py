"""The scheduler's shell with real processes, and what a monitor sees of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from stoker.access.keys import KeyFile
from stoker.access.ring import KeyRing
from stoker.api.admission import Admission
from stoker.api.health import HealthRoutes
from stoker.base.errors import DoesNotFit, LaunchFailed, NotReadyInTime
from stoker.engines import LocalLauncher
from stoker.engines.measured import BufferLog
from stoker.gateway.upstream import Upstreams
from stoker.library import Library
from stoker.planner.devices import Device, Listing
from stoker.planner.spec import Cost, RunSettings, Way
from stoker.scheduler import Lease, RunnerState, RunRequest, Scheduler
from stoker.scheduler.core import Core
from stoker.store import Store
from tests.components.fake_engine import FakeEngine
from tests.scheduler.test_core import request, way
from tests.scheduler.test_ledger import gpu


@dataclass
class Bench:
    """A scheduler whose engine is a stand-in, on a clock that only the test moves."""

    folder: Path
    now: float = 0.0
    looks: list[tuple[Device, ...]] = field(default_factory=lambda: [()])
    """What is seen of the GPUs, look by look; the last one stays."""
    log: list[str] = field(default_factory=list)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    measured: list[str] = field(default_factory=list)
    """The builds that something was measured with."""
    unmeasurable: set[str] = field(default_factory=set)
    """The models that taking their measure fails with, by a bug."""

    def scheduler(self, engine: FakeEngine) -> Scheduler:
        return Scheduler(
            core=Core(memory_budget=100),
            engines={"llama.cpp": engine},
            launcher=LocalLauncher(),
            run_dir=self.folder,
            engine_log=self._line,
            devices=self._devices,
            loaded=self._loaded,
            clock=lambda: self.now,
        )

    async def _devices(self) -> Listing:
        seen = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return Listing({"llama.cpp": seen}, self.now)

    def _loaded(self, run: RunRequest, build: str, log: BufferLog) -> None:
        if run.model.name in self.unmeasurable:
            raise ValueError("nobody thought of this")
        self.measured.append(build)

    def _line(self, engine: str, model: str, line: str) -> None:
        self.log.append(line)
        self.woken.set()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
async def asking(bench: Bench) -> AsyncIterator[Callable[[Scheduler], "Monitor"]]:
    async with AsyncExitStack() as held:
        yield lambda scheduler: Monitor(bench.folder, scheduler, held)


@dataclass
class Monitor:
    folder: Path
    scheduler: Scheduler
    held: AsyncExitStack

    async def deep(self) -> tuple[int, list[str]]:
        """`GET /health?deep=1`: its status and its problems."""
        library = Library(Store.open(self.folder / "models"))
        keys = KeyRing(KeyFile(self.folder / "keys"), default_registry="docker.io")
        admission = Admission(keys, required=False, loopback=True)
        app = web.Application(middlewares=[admission.admit])
        routes = HealthRoutes(library, self.scheduler, Upstreams(), not_asked_for)
        app.add_routes(routes.routes())
        client = await self.held.enter_async_context(TestClient(TestServer(app)))
        async with client.get("/health?deep=1") as answer:
            return answer.status, (await answer.json()).get("problems", [])


async def not_asked_for(request: web.Request, model: str) -> None:
    raise AssertionError(f"{request.path} loads {model}")


async def hold(lease: AbstractAsyncContextManager[Lease]) -> None:
    async with lease:
        pass


async def gone(scheduler: Scheduler) -> None:
    """Until no runner is left."""
    while scheduler.status():  # noqa: ASYNC110  # the end of a process has no event here
        await asyncio.sleep(0.01)


async def test_a_load_that_hangs_is_reported_given_up_and_stands_in_nobodys_way(
    bench: Bench, asking: Callable[[Scheduler], Monitor]
) -> None:
    engine = FakeEngine("--log", "loading", "--hang", ready_within=600)
    async with bench.scheduler(engine) as scheduler:
        monitor = asking(scheduler)
        waiting = asyncio.create_task(hold(scheduler.lease(request("a", memory=60))))
        await bench.woken.wait()
        assert await monitor.deep() == (200, [])
        bench.now = 299
        assert (await monitor.deep())[0] == 200
        bench.now = 301
        status, (problem,) = await monitor.deep()
        assert status == 503
        assert problem == (
            "a (llama.cpp, completion): loading, and stuck: no sign of life for 301 s"
        )
        waiting.cancel()
        await asyncio.wait([waiting])
        scheduler.unload(None)
        await gone(scheduler)
        assert await monitor.deep() == (200, [])


async def test_nobody_is_given_what_has_ended(bench: Bench) -> None:
    """Whoever learns that it has ended may ask anew at once, and is not to meet it again."""
    async with bench.scheduler(FakeEngine()) as scheduler, scheduler.lease(request("a")) as lease:
        os.kill(lease.instance.pid, signal.SIGKILL)
        await lease.instance.wait()
        assert not scheduler.is_ready(request("a").key)


async def test_what_hangs_is_ended_when_its_time_is_over(bench: Bench) -> None:
    async with bench.scheduler(FakeEngine("--hang", ready_within=0.2)) as scheduler:
        with pytest.raises(NotReadyInTime):
            await hold(scheduler.lease(request("a", memory=100)))
        with pytest.raises(NotReadyInTime):  # there is room for it again
            await hold(scheduler.lease(request("b", memory=100)))
        assert not scheduler.status()


async def test_a_long_load_that_shows_signs_of_life_is_not_stuck(
    bench: Bench, asking: Callable[[Scheduler], Monitor]
) -> None:
    engine = FakeEngine("--log", "loading", "--never-healthy", "--chatty", ready_within=600)
    async with bench.scheduler(engine) as scheduler:
        waiting = asyncio.create_task(hold(scheduler.lease(request("a"))))
        await bench.woken.wait()
        bench.now = 5000
        bench.woken.clear()
        await bench.woken.wait()
        assert await asking(scheduler).deep() == (200, [])
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_a_plan_overtaken_before_the_load_takes_another_way(bench: Bench) -> None:
    bench.looks = [(gpu(100),), (gpu(50),)]
    wish = request("a", way(5, G0=60), way(20, rank=1, G0=30), way(40, rank=2))
    async with bench.scheduler(FakeEngine()) as scheduler:
        await hold(scheduler.lease(wish))
        (status,) = scheduler.status()
        assert status.state is RunnerState.READY
        assert status.devices == {"G0": 30}
        whys = [entry.why for entry in scheduler.journal.of(wish.model.id)]
        assert any("another program took 10.00B of G0" in why for why in whys)


async def test_a_plan_overtaken_without_another_way_is_refused(bench: Bench) -> None:
    bench.looks = [(gpu(100),), (gpu(50),)]
    async with bench.scheduler(FakeEngine()) as scheduler:
        with pytest.raises(DoesNotFit, match=r"60.00B of G0, where 50.00B .* hold 50.00B"):
            await hold(scheduler.lease(request("a", way(5, G0=60))))
        assert not scheduler.status()


async def test_a_gpu_that_vanishes_leaves_the_cpu(bench: Bench) -> None:
    bench.looks = [(gpu(100),)]
    wish = request("a", way(5, G0=60), way(40, rank=1))
    async with bench.scheduler(FakeEngine()) as scheduler:
        await hold(scheduler.lease(wish))
        (before,) = scheduler.status()
        assert before.devices == {"G0": 60}
        assert before.pid
        bench.looks = [()]
        os.kill(before.pid, signal.SIGKILL)
        await gone(scheduler)
        await hold(scheduler.lease(wish))
        (after,) = scheduler.status()
        assert after.devices == {}


async def test_what_runs_out_of_memory_is_loaded_with_less_for_the_same_request(
    bench: Bench,
) -> None:
    bench.looks = [(gpu(100),)]
    flags = ("--log", "out of memory", "--exit-code", "1")
    whole = Way(RunSettings(runtime_flags=flags), Cost(5, known=True, devices={"G0": 60}))
    async with bench.scheduler(FakeEngine()) as scheduler:
        await hold(scheduler.lease(request("a", whole, way(40, rank=1))))
        (status,) = scheduler.status()
        assert status.devices == {}
        whats = [entry.what for entry in scheduler.journal.of(None)]
        assert whats == ["loading", "failed to load", "loading", "ready"]


async def test_what_is_measured_belongs_to_the_build_that_ran(bench: Bench) -> None:
    engine = FakeEngine()
    async with bench.scheduler(engine) as scheduler:
        await hold(scheduler.lease(request("a")))
        engine.version = "2"  # installed meanwhile
        scheduler.unload(None)
        await gone(scheduler)
    assert bench.measured == ["1 (test)", "1 (test)"]


async def test_a_bug_about_one_runner_leaves_no_process_and_the_others_alone(bench: Bench) -> None:
    async with bench.scheduler(FakeEngine()) as scheduler:
        await hold(scheduler.lease(request("a")))
        alone = psutil.Process().children(recursive=True)
        bench.unmeasurable = {"b"}
        with pytest.raises(LaunchFailed, match="nobody thought of this"):
            await hold(scheduler.lease(request("b")))
        assert psutil.Process().children(recursive=True) == alone
        bench.unmeasurable = set()
        await hold(scheduler.lease(request("b")))
        bench.unmeasurable = {"b"}
        scheduler.unload(frozenset([request("b").key]))
        while len(scheduler.status()) > 1:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
        assert psutil.Process().children(recursive=True) == alone
        await hold(scheduler.lease(request("a")))
