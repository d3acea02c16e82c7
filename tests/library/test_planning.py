"""What a run costs: from the header, with the options that the engine is really given."""

import contextlib
from pathlib import Path

import pytest

from stoker.base.errors import DoesNotFit, InvalidSetting
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_options import MAX_CONTEXT, options_of
from stoker.library.facts import FactsReader
from stoker.library.planning import RunPlanner
from stoker.library.settings import SettingsStore
from stoker.oci.digest import digest_of
from stoker.planner.devices import Device
from stoker.planner.estimate import Options, estimate_llamacpp
from stoker.planner.spec import Format, Mode, ModelSpec, Offload, RunSettings
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
    return RunPlanner(SettingsStore(folder / "settings.json"), FactsReader(), budget=budget)


def options(*flags: str, context: int | None = None, mode: Mode = Mode.COMPLETION) -> Options:
    model = ModelSpec(digest_of(b"x"), "x", Format.GGUF, Path("x"), 1, context_size=CONTEXT)
    return options_of(model, mode, RunSettings(context_size=context, runtime_flags=flags))


def test_flags_of_the_user_reach_the_estimate() -> None:
    chosen = options("-c", "512", "--parallel=2", "-ctk", "q8_0", "-ctv=q4_0", "-fa", "-cram", "8")
    assert (chosen.context, chosen.slots, chosen.unified) == (512, 2, False)
    assert (chosen.keys, chosen.values, chosen.prompt_cache) == ("q8_0", "q4_0", 8 * MIB)
    assert options("-np", "3", "-kvu").unified
    assert not options("-fa", "off").flash_attention
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
    settings, cost = await planner(tmp_path).cost(
        "llama.cpp", model, Mode.COMPLETION, RunSettings(context_size=2048)
    )
    plan = estimate_llamacpp(gguf_facts(model.weights), Options(context=2048))
    assert (cost.memory, cost.known) == (plan.total_host_bytes, True)
    assert settings.context_size == 2048


async def test_an_open_context_becomes_what_fits(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    wanted = RunSettings(context_size=-1)
    settings, _ = await planner(tmp_path).cost("llama.cpp", model, Mode.COMPLETION, wanted)
    assert settings.context_size == CONTEXT


async def test_what_can_never_fit_is_refused_with_what_would(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    wanted = RunSettings(context_size=8 * 1024 * 1024)
    with pytest.raises(DoesNotFit, match="are missing") as refused:
        await planner(tmp_path).cost("llama.cpp", model, Mode.COMPLETION, wanted)
    assert "--context-size" in (refused.value.hint or "")


async def test_a_model_without_a_readable_header_is_guessed(tmp_path: Path) -> None:
    model = spec(bad_models(tmp_path)["garbage"])
    _, cost = await planner(tmp_path).cost("llama.cpp", model, Mode.COMPLETION, RunSettings())
    assert not cost.known
    assert cost.memory > model.weights_size


def test_absurd_contexts_are_refused_before_anything_starts() -> None:
    engine = LlamaCpp()
    for wanted in (
        RunSettings(context_size=MAX_CONTEXT + 1),
        RunSettings(runtime_flags=("-c", "200000000")),
    ):
        with pytest.raises(InvalidSetting, match="impossible"):
            engine.check_settings(wanted)


@pytest.mark.parametrize(
    "key",
    ["block_count", "attention.head_count", "context_length", "embedding_length",
     "feed_forward_length", "rope.dimension_count"],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, 7, 10**6, 2**31, 2**32 - 1])
async def test_a_header_that_lies_gets_a_plan_a_guess_or_a_refusal(
    tmp_path: Path, key: str, value: int
) -> None:
    path = chat_model(tmp_path / "m.gguf")
    path.write_bytes(_patched(path.read_bytes(), f"llama.{key}", value))
    for context in (None, -1):
        wanted = RunSettings(context_size=context)
        with contextlib.suppress(DoesNotFit):
            _, cost = await planner(tmp_path).cost("llama.cpp", spec(path), Mode.COMPLETION, wanted)
            assert 0 < cost.memory <= 1024 * MIB


async def test_what_lies_on_a_gpu_is_counted_and_never_refused_by_the_host(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    card = Device(id="CUDA0", total=8 << 30, free=0)

    async def devices() -> tuple[Device, ...]:
        return (card,)

    with_gpu = RunPlanner(
        SettingsStore(tmp_path / "s.json"), FactsReader(), budget=1024 * MIB, devices=devices
    )
    asked = ("llama.cpp", model, Mode.COMPLETION, RunSettings())
    _, alone = await planner(tmp_path).cost(*asked)
    _, cost = await with_gpu.cost(*asked)
    assert not cost.known
    assert cost.memory > alone.memory
    never = RunSettings(runtime_flags=("--gpu-layers", "0"))
    _, kept = await with_gpu.cost("llama.cpp", model, Mode.COMPLETION, never)
    assert kept == alone


async def test_a_new_build_is_asked_what_it_can_use(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    seen: list[tuple[Device, ...]] = [(), (Device(id="Vulkan0", total=8 << 30, free=8 << 30),)]
    changes = 0

    async def devices() -> tuple[Device, ...]:
        return seen[changes]

    planner = RunPlanner(
        SettingsStore(tmp_path / "s.json"),
        FactsReader(),
        budget=1024 * MIB,
        devices=devices,
        changes=lambda: changes,
    )
    asked = ("llama.cpp", model, Mode.COMPLETION, RunSettings())
    settings, _ = await planner.cost(*asked)
    assert settings.offload is None
    changes = 1
    settings, _ = await planner.cost(*asked)
    assert settings.offload == Offload((("Vulkan0", LAYERS + 1),))
    # Whoever says where things go is not told otherwise.
    own = RunSettings(runtime_flags=("--override-tensor", "exps=CPU"))
    settings, _ = await planner.cost("llama.cpp", model, Mode.COMPLETION, own)
    assert settings.offload is None
