"""What vLLM is given: the plan, and that the command says the same. No engine runs here."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stoker.base.errors import DoesNotFit, Incomplete, InvalidSetting
from stoker.engines.measured import BufferLog
from stoker.engines.vllm import Vllm
from stoker.engines.vllm_options import VllmOptions, ran_with
from stoker.library.explain import Planning
from stoker.library.facts import FactsReader
from stoker.library.measured import MeasuredStore, Sizes
from stoker.library.measured_vllm import vllm_sizes
from stoker.library.planning import RunPlanner
from stoker.library.settings import SettingsStore
from stoker.oci.digest import digest_of
from stoker.planner.devices import HOST, Device, Snapshot
from stoker.planner.options import Options
from stoker.planner.room import HOST_MARGIN
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings, Way
from stoker.planner.vllm import CPU_PROCESSES, OVERHEAD

GIB = 1024**3
WEIGHTS = 1000 * 64 * 4
PER_TOKEN = 2 * 16 * 8 * 64 * 2
"""Keys and values, layers, heads, width, bytes of bfloat16."""
SHAPE = {
    "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8, "hidden_size": 2048, "head_dim": 64, "vocab_size": 1000,
    "max_position_embeddings": 131_072,
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> ModelSpec:
    tensors = {"model.embed_tokens.weight": np.zeros((1000, 64), np.float32)}
    save_file(tensors, tmp_path / "model.safetensors")
    return shaped(tmp_path, SHAPE)


def shaped(folder: Path, config: dict[str, object]) -> ModelSpec:
    (folder / "config.json").write_text(json.dumps(config))
    identity = digest_of(json.dumps(config).encode())
    return ModelSpec(identity, "ai/llm", Format.SAFETENSORS, folder, WEIGHTS, context_size=131_072)


def machine(*gpus: int, host: int = 64 * GIB) -> Snapshot:
    cards = (Device(id=f"CUDA{n}", total=size, free=size) for n, size in enumerate(gpus))
    return Snapshot(host_total=host, host_free=host + HOST_MARGIN, devices=tuple(cards))


async def ways(
    model: ModelSpec, here: Snapshot, settings: RunSettings | None = None
) -> tuple[Way, ...]:
    async def empty(engine: str) -> Snapshot:
        assert engine == "vllm"
        return here

    planner = RunPlanner(SettingsStore(Path("none")), FactsReader(), machine=empty)
    return await planner.ways("vllm", model, Mode.COMPLETION, settings or RunSettings())


def arguments(model: ModelSpec, way: Way, variant: str = "cpu") -> dict[str, str]:
    engine = Vllm({}, python=Path("/python"), variant=variant)
    argv = engine.command(model, Mode.COMPLETION, way.settings, Path("/s")).argv
    return dict(pairwise(argv))


async def test_on_a_cpu_the_cache_is_what_was_planned(model: ModelSpec) -> None:
    best, lesser = await ways(model, machine())
    assert best.cost.memory == WEIGHTS + 4 * 8192 * PER_TOKEN + CPU_PROCESSES
    assert best.cost.known
    assert not best.cost.devices
    told = arguments(model, best)
    assert told["--kv-cache-memory-bytes"] == str(4 * 8192 * PER_TOKEN)
    assert told["--max-model-len"] == "8192"
    assert "--gpu-memory-utilization" not in told
    assert arguments(model, lesser)["--kv-cache-memory-bytes"] == str(8192 * PER_TOKEN)


async def test_on_a_gpu_share_cache_and_card_are_what_was_planned(model: ModelSpec) -> None:
    found = await ways(model, machine(80 * GIB, 40 * GIB))
    best = found[0]
    cache = 4 * 131_072 * PER_TOKEN
    assert best.cost.devices == {"CUDA0": int(WEIGHTS * 1.2) + cache + OVERHEAD}
    told = arguments(model, best, "cuda")
    assert told["--kv-cache-memory-bytes"] == str(cache)
    assert told["--max-model-len"] == "131072"
    share = float(told["--gpu-memory-utilization"])
    assert best.cost.devices["CUDA0"] <= share * 80 * GIB < 0.92 * 80 * GIB
    assert [(tuple(way.cost.devices), way.rank) for way in found] == [
        (("CUDA0",), 0), (("CUDA1",), 0), (("CUDA0",), 1), (("CUDA1",), 1),
    ]  # fmt: skip


async def test_the_context_shrinks_only_when_nobody_asked_for_one(model: ModelSpec) -> None:
    found = await ways(model, machine(8 * GIB))
    assert {way.settings.context_size for way in found} == {131_072}
    tight = machine(int(5.5 * GIB))
    assert {way.settings.context_size for way in await ways(model, tight)} == {65_536}
    with pytest.raises(DoesNotFit, match=r"ai/llm: vLLM needs .* of CUDA0") as caught:
        await ways(model, tight, RunSettings(context_size=131_072))
    assert "--context-size" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (RunSettings(gpu_memory_utilization=0.5), 40 * GIB),
        (RunSettings(runtime_flags=("--gpu-memory-utilization=0.25",)), 20 * GIB),
        (RunSettings(hf_overrides={"gpu_memory_utilization": 0.75}), 60 * GIB),
    ],
)
async def test_a_share_that_somebody_chose_is_what_is_counted(
    model: ModelSpec, settings: RunSettings, size: int
) -> None:
    (only,) = await ways(model, machine(80 * GIB), settings)
    assert only.cost.devices == {"CUDA0": size}
    told = arguments(model, only, "cuda")
    assert float(told["--gpu-memory-utilization"]) == size / 80 / GIB
    assert "--kv-cache-memory-bytes" not in told


async def test_flags_of_users_are_counted(model: ModelSpec) -> None:
    base = (await ways(model, machine()))[0].cost.memory
    flags = RunSettings(runtime_flags=("--kv-cache-memory-bytes", "512M"))
    less = (await ways(model, machine(), flags))[0]
    assert base - less.cost.memory == 4 * 8192 * PER_TOKEN - (512 << 20)
    assert arguments(model, less)["--kv-cache-memory-bytes"] == "512M"
    eight = RunSettings(runtime_flags=("--kv-cache-dtype", "fp8"))
    half = (await ways(model, machine(), eight))[0]
    assert base - half.cost.memory == 2 * 8192 * PER_TOKEN
    wide = RunSettings(runtime_flags=("--dtype", "float32"))
    assert (await ways(model, machine(), wide))[0].cost.memory == base + 4 * 8192 * PER_TOKEN
    narrow = RunSettings(runtime_flags=("--kv-cache-dtype", "fp8", "--dtype", "float32"))
    assert (await ways(model, machine(), narrow))[0].cost.memory == half.cost.memory
    long = RunSettings(runtime_flags=("--max-model-len", "16K"))
    assert (await ways(model, machine(), long))[0].cost.memory == base + 4 * 8192 * PER_TOKEN


async def test_a_model_divided_over_gpus_is_charged_to_each(model: ModelSpec) -> None:
    two = RunSettings(runtime_flags=("-tp", "2"))
    best = (await ways(model, machine(80 * GIB, 80 * GIB), two))[0]
    assert best.cost.devices.keys() == {"CUDA0", "CUDA1"}
    assert (
        best.cost.devices["CUDA0"] == int(WEIGHTS * 1.2) // 2 + 2 * 131_072 * PER_TOKEN + OVERHEAD
    )
    odd = shaped(model.weights, {"architectures": ["OddForCausalLM"]})
    for of in (model, odd):
        with pytest.raises(DoesNotFit, match="ai/llm: vLLM is to use 2 GPUs, and there is 1"):
            await ways(of, machine(80 * GIB), two)
        with pytest.raises(DoesNotFit, match="there are none that it can use"):
            await ways(of, machine(), two)


async def test_a_shape_that_cannot_be_read_is_a_guess(model: ModelSpec) -> None:
    unknown = shaped(model.weights, {"architectures": ["OddForCausalLM"]})
    (guess,) = await ways(unknown, machine())
    assert not guess.cost.known
    assert arguments(unknown, guess)["--kv-cache-memory-bytes"] == str(GIB)
    (guess,) = await ways(unknown, machine(80 * GIB))
    assert guess.cost.devices == {"CUDA0": int(0.92 * 80 * GIB)}


async def test_a_model_that_lacks_what_its_index_names_is_refused(model: ModelSpec) -> None:
    """vLLM would serve it, and answer nonsense."""
    index = {
        "model.embed_tokens.weight": "model.safetensors",
        "lm_head.weight": "model.safetensors",
    }
    (model.weights / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    for _ in range(2):
        with pytest.raises(Incomplete, match=r"ai/llm is incomplete: .*: lm_head\.weight in model"):
            await ways(model, machine())


async def test_an_encoder_keeps_no_keys_and_values(model: ModelSpec) -> None:
    shape = {**SHAPE, "architectures": ["BertModel"]}
    del shape["num_key_value_heads"]
    gemma = {**SHAPE, "architectures": ["Gemma3TextModel"], "use_bidirectional_attention": True}
    for config in (shape, gemma):
        encoder = shaped(model.weights, config)
        best = (await ways(encoder, machine(80 * GIB)))[0]
        assert best.settings.cache_bytes is None
        assert best.cost.devices["CUDA0"] < 2.1 * GIB


@pytest.mark.parametrize("architecture", ["MistralModel", "Qwen2ForSequenceClassification"])
async def test_a_decoder_keeps_them_whatever_it_is_used_for(
    model: ModelSpec, architecture: str
) -> None:
    embedder = shaped(model.weights, {**SHAPE, "architectures": [architecture]})
    best = (await ways(embedder, machine(80 * GIB)))[0]
    assert best.settings.cache_bytes == 4 * 131_072 * PER_TOKEN


async def test_hosts_that_are_too_small_say_what_would_fit(model: ModelSpec) -> None:
    with pytest.raises(DoesNotFit, match="are missing") as caught:
        await ways(model, machine(host=2 * GIB), RunSettings(context_size=100_000))
    hint = caught.value.hint or ""
    fitting = int(hint.rsplit(maxsplit=1)[-1])
    assert await ways(model, machine(host=2 * GIB), RunSettings(context_size=fitting))


async def test_a_plan_shows_the_parts(model: ModelSpec) -> None:
    here = machine(80 * GIB)

    async def now(engine: str) -> Snapshot:
        return here if engine == "vllm" else replace(here, devices=())

    runs = RunPlanner(SettingsStore(Path("none")), FactsReader(), machine=now)
    planning = Planning(FactsReader(), runs, now)
    plan = await planning.plan(model, Mode.COMPLETION, RunSettings())
    assert (plan.engine, plan.fits, plan.context, plan.slots) == ("vllm", True, 131_072, 4)
    assert [device.id for device in plan.devices] == ["CUDA0", HOST]
    for device in plan.devices:
        assert sum(part.bytes for part in device.parts) == device.bytes
    tight = RunSettings(context_size=10_000_000)
    refused = await planning.plan(model, Mode.COMPLETION, tight)
    assert not refused.fits
    assert "are missing" in refused.problem
    assert "--context-size" in refused.hint


@pytest.mark.parametrize("flags", [("--max-model-len", "auto"), ("-tp", "0")])
async def test_odd_values_are_left_to_the_engine(model: ModelSpec, flags: tuple[str, ...]) -> None:
    assert await ways(model, machine(80 * GIB), RunSettings(runtime_flags=flags))


async def test_a_flag_that_is_not_allowed_is_refused_before_a_plan(model: ModelSpec) -> None:
    with pytest.raises(InvalidSetting):
        await ways(model, machine(), RunSettings(runtime_flags=("--trust-remote-code",)))


@pytest.mark.parametrize("here", [machine(), machine(80 * GIB)], ids=["CPU", "GPU"])
async def test_a_share_that_somebody_chose_is_shown_as_cache(
    model: ModelSpec, here: Snapshot
) -> None:

    async def now(engine: str) -> Snapshot:
        return here

    facts = FactsReader()
    runs = RunPlanner(SettingsStore(Path("none")), facts, machine=now)
    planning = Planning(facts, runs, now)
    share = RunSettings(gpu_memory_utilization=0.5)
    plan = await planning.plan(model, Mode.COMPLETION, share)
    (cache,) = (part.bytes for part in plan.devices[0].parts if part.name == "cache")
    assert plan.slots == cache // (PER_TOKEN * plan.context) > 4
    (way,) = (await ways(model, here, share))[:1]
    assert f"room for {plan.slots} conversations of {plan.context} tokens" in way.words
    greedy = RunSettings(runtime_flags=("--kv-cache-memory-bytes", "500G"))
    refused = await planning.plan(model, Mode.COMPLETION, greedy)
    assert "--kv-cache-memory-bytes" in refused.hint


def ended(resident: int, *lines: str) -> BufferLog:
    """What was seen of a run."""
    log = BufferLog()
    log.resident = resident
    for line in lines:
        log(line)
    return log


@pytest.mark.parametrize("settings", [RunSettings(), RunSettings(context_size=4096)])
async def test_what_it_took_on_a_cpu_is_planned_with(
    model: ModelSpec, tmp_path: Path, settings: RunSettings
) -> None:
    store, here = MeasuredStore(tmp_path / "measured.json"), machine()
    before = await ways(model, here, settings)
    ran = before[0].settings
    assert ran.cache_bytes
    log = ended(WEIGHTS + ran.cache_bytes + GIB)
    store.note(model.id, "b", ran_with(model, ran), vllm_sizes(model, ran, log), log)

    async def now(engine: str) -> Snapshot:
        return here

    def taken(model: ModelSpec, options: Options | VllmOptions) -> Sizes | None:
        return store.of(model.id, "b", options)

    facts = FactsReader()
    runs = RunPlanner(SettingsStore(Path("none")), facts, machine=now, measured=taken)
    (best, lesser) = await runs.ways("vllm", model, Mode.COMPLETION, settings)
    for old, new in zip(before, (best, lesser), strict=True):
        assert old.cost.memory - new.cost.memory == CPU_PROCESSES - GIB
    plan = await Planning(facts, runs, now).plan(model, Mode.COMPLETION, settings)
    assert (plan.total, plan.computed) == (best.cost.memory, before[0].cost.memory)
    assert plan.exact
    (part,) = (part for part in plan.devices[0].parts if part.name == "processes")
    assert (part.bytes, part.measured) == (CPU_PROCESSES, GIB)
    other = await runs.ways("vllm", model, Mode.COMPLETION, RunSettings(context_size=2048))
    assert other == await ways(model, here, RunSettings(context_size=2048))


async def test_what_it_took_of_gpus_is_planned_with(model: ModelSpec) -> None:
    here, two = machine(80 * GIB, 80 * GIB), RunSettings(runtime_flags=("-tp", "2"))
    before = (await ways(model, here, two))[0]
    line = "(Worker_TP0 pid=7) INFO Model loading took 0.50 GiB memory and 3.100000 seconds"
    sizes = vllm_sizes(model, before.settings, ended(2 * GIB, line))
    options = ran_with(model, before.settings)

    async def now(engine: str) -> Snapshot:
        return here

    runs = RunPlanner(
        SettingsStore(Path("none")), FactsReader(), machine=now,
        measured=lambda _, asked: sizes if asked == options else None,
    )  # fmt: skip
    after = (await runs.ways("vllm", model, Mode.COMPLETION, two))[0]
    assert after.cost.memory == 2 * GIB
    for device in ("CUDA0", "CUDA1"):
        more = after.cost.devices[device] - before.cost.devices[device]
        assert more == GIB // 2 - int(WEIGHTS * 1.2) // 2
