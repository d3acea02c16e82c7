"""Where the engine's dry run and the plan disagree, the larger one counts."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stoker.library.measured import Sizes
from stoker.library.second_opinion import SecondOpinion
from stoker.oci.digest import digest_of
from stoker.planner.devices import Device, Snapshot
from stoker.planner.spec import Cost, Format, Mode, ModelSpec, Offload, RunSettings, Way

MIB = 1024 * 1024
MODEL = ModelSpec(digest_of(b"m"), "ai/tiny", Format.GGUF, Path("m.gguf"), 1)
MACHINE = Snapshot(
    host_total=8192 * MIB,
    host_free=8192 * MIB,
    devices=(Device(id="CUDA0", total=4096 * MIB, free=4096 * MIB),),
)


def way(layers: int, size: int) -> Way:
    settings = RunSettings(context_size=2048, offload=Offload((("CUDA0", layers),)))
    return Way(settings, Cost(100 * MIB, known=True, devices={"CUDA0": size * MIB}))


CPU = Way(RunSettings(context_size=2048, offload=Offload()), Cost(900 * MIB, known=True))


@dataclass
class Engine:
    """Says what a load of so many layers takes, in MiB."""

    sizes: dict[int, int]
    asked: list[int] = field(default_factory=list)

    async def __call__(self, model: ModelSpec, mode: Mode, settings: RunSettings) -> Sizes:
        assert settings.offload is not None
        layers = settings.offload.count
        self.asked.append(layers)
        size = self.sizes.get(layers)
        return {"CUDA0": {"weights": size * MIB}, "host": {"weights": 1}} if size else {}


async def given(engine: Engine, *ways: Way) -> tuple[Way, ...]:
    return await SecondOpinion(engine)(MODEL, Mode.COMPLETION, ways, MACHINE)


async def test_a_plan_that_holds_stays_and_is_asked_about_once() -> None:
    engine = Engine({33: 2900})
    ways, opinion = (way(33, 3000), CPU), SecondOpinion(engine)
    for _ in range(3):
        assert await opinion(MODEL, Mode.COMPLETION, ways, MACHINE) == ways
    assert engine.asked == [33]


async def test_the_larger_one_counts(caplog: pytest.LogCaptureFixture) -> None:
    found = await given(Engine({33: 3100}), way(33, 3000), CPU)
    assert found == (way(33, 3100), CPU)
    assert "planned were" in caplog.text


async def test_what_cannot_be_held_gives_way_to_the_next_best() -> None:
    engine = Engine({33: 3900, 20: 1900})
    assert await given(engine, way(33, 3000), way(20, 2000), CPU) == (way(20, 2000), CPU)
    assert engine.asked == [33, 20]
    assert await given(Engine({33: 3900}), way(33, 3000), CPU) == (CPU,)


async def test_the_only_way_is_left_to_the_ledger() -> None:
    assert await given(Engine({33: 3900}), way(33, 3000)) == (way(33, 3900),)


async def test_an_engine_that_cannot_say_changes_nothing() -> None:
    assert await given(Engine({}), way(33, 3000), CPU) == (way(33, 3000), CPU)


async def test_the_cpu_is_not_asked_about() -> None:
    engine = Engine({})
    assert await given(engine, CPU) == (CPU,)
    assert engine.asked == []


async def test_many_who_want_the_same_ask_once_and_the_first_may_leave() -> None:
    engine = Engine({33: 3100})
    opinion = SecondOpinion(engine)
    asking = [
        asyncio.create_task(opinion(MODEL, Mode.COMPLETION, (way(33, 3000), CPU), MACHINE))
        for _ in range(5)
    ]
    await asyncio.sleep(0)  # all have begun
    asking[0].cancel()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [(way(33, 3100), CPU)] * 4
    assert engine.asked == [33]


async def test_another_build_is_asked_anew() -> None:
    engine, build = Engine({33: 3100}), ["b1"]
    opinion = SecondOpinion(engine, lambda: build[0])
    for build[0] in ("b1", "b2", "b2"):
        await opinion(MODEL, Mode.COMPLETION, (way(33, 3000), CPU), MACHINE)
    assert engine.asked == [33, 33]
