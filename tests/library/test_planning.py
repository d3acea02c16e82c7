"""What a run costs: from the header, with the options that the engine is really given."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import DoesNotFit, InvalidSetting, ParseError
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_options import MAX_CONTEXT, options_of
from stoker.library.facts import FactsReader
from stoker.library.machine import Machine
from stoker.library.planning import RunPlanner
from stoker.library.settings import SettingsStore
from stoker.oci.digest import digest_of
from stoker.planner.devices import Device, Snapshot
from stoker.planner.estimate import estimate_llamacpp
from stoker.planner.options import Options
from stoker.planner.room import HOST_MARGIN
from stoker.planner.spec import Cost, Format, Mode, ModelSpec, Offload, RunSettings, Way
from stoker.store.headers import gguf_facts
from tests.components.tiny_models import (
    CONTEXT,
    LAYERS,
    _patched,
    bad_models,
    chat_model,
    embedding_model,
)
from tests.planner.engine import measure

MIB = 1024 * 1024


def spec(path: Path) -> ModelSpec:
    size = path.stat().st_size
    return ModelSpec(digest_of(path.read_bytes()), path.stem, Format.GGUF, path, size)


def planner(folder: Path, budget: int = 1024 * MIB) -> RunPlanner:
    return planner_on(folder, Snapshot(host_total=budget, host_free=budget + HOST_MARGIN))


def planner_on(folder: Path, machine: Snapshot) -> RunPlanner:
    async def empty(engine: str) -> Snapshot:
        return machine

    return RunPlanner(SettingsStore(folder / "settings.json"), FactsReader(), machine=empty)


async def best(planner: RunPlanner, model: ModelSpec, settings: RunSettings) -> Way:
    return (await planner.ways("llama.cpp", model, Mode.COMPLETION, settings))[0]


def options(*flags: str, context: int | None = None, mode: Mode = Mode.COMPLETION) -> Options:
    model = ModelSpec(digest_of(b"x"), "x", Format.GGUF, Path("x"), 1, context_size=CONTEXT)
    return options_of(model, mode, RunSettings(context_size=context, runtime_flags=flags))


def test_flags_of_the_user_reach_the_estimate() -> None:
    chosen = options("-c", "512", "--parallel=2", "-ctk", "q8_0", "-ctv=q4_0", "-fa", "-cram", "8")
    assert (chosen.context, chosen.slots, chosen.unified) == (512, 2, False)
    assert (chosen.keys, chosen.values, chosen.prompt_cache) == ("q8_0", "q4_0", 8 * MIB)
    assert options("-np", "3", "-kvu").unified
    for off in ("off", "false", "disabled", "0"):
        assert not options("-fa", off).flash_attention
    assert options("--reranking").embeddings
    assert options("-c", "0").context is None
    assert options().context == CONTEXT
    assert options(context=-1).context is None
    told = options("-ngl", "7", "--cpu-moe", "-dev=CUDA1,CUDA2")
    assert (told.gpu_layers, told.devices) == (7, ("CUDA1", "CUDA2"))
    assert (told.host_experts or 0) > 1000
    assert options("--gpu-layers", "all", "--n-cpu-moe", "3").host_experts == 3
    assert options("-ngl", "all").gpu_layers is None
    assert options(mode=Mode.EMBEDDING).micro_batch == 2048


@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        (Mode.COMPLETION, ()),
        (Mode.COMPLETION, ("--parallel", "2", "-ctk", "q8_0", "-ctv", "q8_0", "-c", "1000")),
        (Mode.COMPLETION, ("-fa", "off", "-ub", "64", "-kvu", "-np", "3")),
        (Mode.EMBEDDING, ()),
    ],
)
def test_the_command_takes_what_the_plan_says(
    tmp_path: Path, mode: Mode, flags: tuple[str, ...]
) -> None:
    make = embedding_model if mode is Mode.EMBEDDING else chat_model
    model, settings = spec(make(tmp_path / "m.gguf")), RunSettings(runtime_flags=flags)
    argv = LlamaCpp().command(model, mode, settings, tmp_path / "s").argv
    wanted = argv[argv.index("--alias") :]
    taken = measure(model.weights, *wanted, "--no-repack")
    plan = estimate_llamacpp(gguf_facts(model.weights), options_of(model, mode, settings))
    assert plan.cache / MIB == pytest.approx(taken.total("cache"), abs=0.02)
    assert plan.output / MIB == pytest.approx(taken.total("output"), abs=0.01)
    assert plan.compute / MIB == pytest.approx(taken.total("compute"), rel=0.02, abs=0.01)


async def test_the_cost_is_the_estimate_and_is_known(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    chosen = await best(planner(tmp_path), model, RunSettings(context_size=2048))
    plan = estimate_llamacpp(gguf_facts(model.weights), Options(context=2048))
    assert chosen.cost == Cost(plan.total_host_bytes, known=True)
    assert chosen.settings.context_size == 2048


async def test_an_open_context_becomes_what_fits(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    wanted = RunSettings(context_size=-1)
    assert (await best(planner(tmp_path), model, wanted)).settings.context_size == CONTEXT


async def test_what_can_never_fit_is_refused_with_what_would(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    wanted = RunSettings(context_size=8 * 1024 * 1024)
    with pytest.raises(DoesNotFit, match="are missing") as refused:
        await best(planner(tmp_path), model, wanted)
    assert "--context-size" in (refused.value.hint or "")


async def test_more_slots_than_memory_are_refused_with_how_many_would_fit(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    wanted = RunSettings(context_size=64, runtime_flags=("--parallel", "256"))
    small = planner(tmp_path, budget=340 * MIB)
    with pytest.raises(DoesNotFit, match="are missing") as refused:
        await best(small, model, wanted)
    assert refused.value.hint == "it would fit with --parallel 1"
    await best(small, model, replace(wanted, runtime_flags=("--parallel", "1")))


async def test_a_model_with_a_header_of_the_future_is_guessed(tmp_path: Path) -> None:
    model = spec(bad_models(tmp_path)["wrong version"])
    cost = (await best(planner(tmp_path), model, RunSettings())).cost
    assert not cost.known
    assert cost.memory > model.weights_size


def test_absurd_contexts_are_refused_before_anything_starts() -> None:
    engine = LlamaCpp()
    for wanted in (
        RunSettings(context_size=MAX_CONTEXT + 1),
        RunSettings(runtime_flags=("-c", "200000000")),
        RunSettings(runtime_flags=("-c", "-7")),
        RunSettings(runtime_flags=("--parallel", "257")),
        RunSettings(runtime_flags=("-np=99999999999999999999",)),
    ):
        with pytest.raises(InvalidSetting, match="impossible"):
            engine.check_settings(wanted)


@pytest.mark.parametrize(
    "key",
    ["block_count", "attention.head_count", "context_length", "embedding_length",
     "feed_forward_length", "rope.dimension_count"],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, 7, 10**6, 2**31, 2**32 - 1])
async def test_a_header_that_lies_gets_a_plan_or_a_refusal(
    tmp_path: Path, key: str, value: int
) -> None:
    path = chat_model(tmp_path / "m.gguf")
    path.write_bytes(_patched(path.read_bytes(), f"llama.{key}", value))
    for context in (None, -1):
        wanted = RunSettings(context_size=context)
        with contextlib.suppress(DoesNotFit, ParseError):
            cost = (await best(planner(tmp_path), spec(path), wanted)).cost
            assert 0 < cost.memory <= 1024 * MIB


def card(name: str, size: int) -> Device:
    return Device(id=name, total=size, free=size)


def machine(*devices: Device) -> Snapshot:
    return Snapshot(
        host_total=1024 * MIB, host_free=1024 * MIB + HOST_MARGIN, devices=tuple(devices)
    )


async def test_what_lies_on_a_gpu_is_charged_there_and_not_to_the_host(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    with_gpu = planner_on(tmp_path, machine(card("CUDA0", 8 << 30)))
    chosen = await best(with_gpu, model, RunSettings())
    alone = await best(planner(tmp_path), model, RunSettings())
    assert chosen.settings.offload == Offload((("CUDA0", LAYERS + 1),))
    assert chosen.cost.devices.keys() == {"CUDA0"}
    assert chosen.cost.known
    assert chosen.cost.memory < alone.cost.memory
    assert chosen.words == f"{LAYERS + 1} of {LAYERS + 1} layers on CUDA0"
    never = RunSettings(runtime_flags=("--gpu-layers", "0"))
    (kept,) = await with_gpu.ways("llama.cpp", model, Mode.COMPLETION, never)
    assert (kept.cost, kept.words) == (alone.cost, "all on the CPU")


async def test_lesser_ways_take_less_of_the_gpu_and_the_last_one_nothing(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    size = 512 * MIB + 80 * MIB  # the margin, and little more than the model
    with_gpu = planner_on(tmp_path, machine(card("CUDA0", size)))
    ways = await with_gpu.ways("llama.cpp", model, Mode.COMPLETION, RunSettings())
    counts = [way.settings.offload.count for way in ways if way.settings.offload]
    assert len(counts) == len(ways) > 1
    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] == 0
    assert [way.rank for way in ways] == list(range(len(ways)))
    taken = [way.cost.devices.get("CUDA0", 0) for way in ways]
    assert taken == sorted(taken, reverse=True)
    required = RunSettings(runtime_flags=("--gpu-layers", "all"))
    assert len(await with_gpu.ways("llama.cpp", model, Mode.COMPLETION, required)) == 1
    counted = RunSettings(runtime_flags=("--gpu-layers", "1"))
    assert len(await with_gpu.ways("llama.cpp", model, Mode.COMPLETION, counted)) == 1


async def test_every_gpu_that_holds_all_of_it_is_as_good(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    two = planner_on(tmp_path, machine(card("CUDA0", 8 << 30), card("CUDA1", 4 << 30)))
    ways = await two.ways("llama.cpp", model, Mode.COMPLETION, RunSettings())
    assert [tuple(way.cost.devices) for way in ways if not way.rank] == [("CUDA0",), ("CUDA1",)]
    assert ways[-1].words == "all on the CPU"


async def test_whoever_says_where_things_go_is_not_told_otherwise(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    with_gpu = planner_on(tmp_path, machine(card("CUDA0", 8 << 30)))
    own = RunSettings(runtime_flags=("--override-tensor", "exps=CPU"))
    (only,) = await with_gpu.ways("llama.cpp", model, Mode.COMPLETION, own)
    assert only.settings.offload is None
    assert only.cost.devices


async def test_a_new_build_is_asked_what_it_can_use() -> None:
    seen: list[tuple[Device, ...]] = [(), (card("Vulkan0", 8 << 30),)]
    changes, now = 0, 0.0

    async def devices() -> tuple[Device, ...]:
        return seen[changes]

    here = Machine(
        budget=MIB,
        room=lambda: MIB,
        devices={"llama.cpp": devices},
        changes=lambda: changes,
        clock=lambda: now,
    )
    assert not (await here.empty("llama.cpp")).devices
    changes = 1
    assert (await here.empty("llama.cpp")).devices == seen[1]
    assert not (await here.empty("vllm")).devices


async def test_gpus_are_looked_at_again_after_a_second_and_by_one_at_a_time() -> None:
    looks, now = 0, 0.0

    async def devices() -> tuple[Device, ...]:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return (Device(id="CUDA0", total=8 * MIB, free=(8 - looks) * MIB),)

    asking = {"llama.cpp": devices}
    here = Machine(budget=MIB, room=lambda: MIB, devices=asking, clock=lambda: now)
    listings = await asyncio.gather(*(here.listing() for _ in range(3)))
    assert [listing.devices[0].free for listing in listings] == [7 * MIB] * 3
    now = 1.5
    assert (await here.listing()).since == 1.5
    (device,) = (await here.now("llama.cpp", {"CUDA0": MIB})).devices
    assert device.free == 7 * MIB
    assert looks == 2
