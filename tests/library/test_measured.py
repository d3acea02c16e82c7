"""What is remembered of loads, on a real disk."""

from dataclasses import replace
from pathlib import Path
from traceback import walk_tb
from weakref import ref

import pytest

from stoker.base.errors import ParseError
from stoker.engines.llamacpp_options import options_of
from stoker.engines.measured import BufferLog
from stoker.engines.vllm_options import VllmOptions
from stoker.library.explain import Planning
from stoker.library.facts import FactsReader
from stoker.library.measured import MeasuredStore, Sizes
from stoker.library.planning import RunPlanner
from stoker.library.recommend import Recommender
from stoker.library.settings import SettingsStore
from stoker.planner.devices import Snapshot
from stoker.planner.options import Options
from stoker.planner.room import HOST_MARGIN
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from tests.components.tiny_models import chat_model
from tests.library.test_planning import MIB, best, spec

SIZES = {"host": {"weights": 9 * MIB, "cache": 5 * MIB, "compute": 50 * MIB}}


def logged(rate: float = 0.0, tokens: int = 40) -> BufferLog:
    """What an engine wrote of these sizes, and of an answer."""
    log = BufferLog()
    for kind, size in (("model", 9), ("KV", 5), ("compute", 50)):
        log(f"0.00.1 I load:   CPU {kind} buffer size =   {size}.00 MiB")
    log(
        "0.14.0 I slot print_timing: id  3 | task 0 | prompt eval time =      91.67 ms /    11"
        " tokens (   53.79 ms per token,    999.94 tokens per second)"
    )
    log(
        "0.14.1 I slot print_timing: id  3 | task 0 |        eval time =    1332.89 ms /"
        f" {tokens:5} tokens (  666.45 ms per token,  {rate:7.2f} tokens per second)"
    )
    return log


def test_sizes_survive_a_restart_and_belong_to_build_and_options(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    path, settings = tmp_path / "state" / "measured.json", RunSettings(context_size=512)
    options = options_of(model, Mode.COMPLETION, settings)
    MeasuredStore(path).note(model.id, "b1 wheel", options, SIZES, logged())
    store = MeasuredStore(path)
    assert store.of(model.id, "b1 wheel", options) == SIZES
    assert store.of(model.id, "b2 wheel", options) is None
    assert store.of(model.id, "b1 wheel", replace(options, context=1024)) is None


def test_the_fastest_answer_counts_at_once_and_is_known_after_a_restart(tmp_path: Path) -> None:
    model, path = spec(chat_model(tmp_path / "m.gguf")), tmp_path / "measured.json"
    settings = RunSettings(context_size=512)
    options = options_of(model, Mode.COMPLETION, settings)
    store, log = MeasuredStore(path), logged()
    store.note(model.id, "b", options, log.totals, log)
    assert store.speed_of(model.id, "b", options) == 0
    for rate, tokens in ((12.5, 40), (9.0, 40), (99.0, 3)):
        log.fastest = max(log.fastest, logged(rate, tokens).fastest)
    assert store.speed_of(model.id, "b", options) == 12.5
    store.note(model.id, "b", options, log.totals, log)
    kept = ref(log)
    del log  # its engine has ended
    assert kept() is None
    assert store.speed_of(model.id, "b", options) == 12.5
    later = MeasuredStore(path)
    assert later.speed_of(model.id, "b", options) == 12.5
    later.note(model.id, "b", options, SIZES, logged())
    assert later.speed_of(model.id, "b", options) == 12.5
    later.note(model.id, "b", options, SIZES, logged(3.0))
    assert MeasuredStore(path).speed_of(model.id, "b", options) == 3


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'[{"model": 1}]'])
def test_a_broken_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "measured.json"
    path.write_bytes(content)
    model = spec(chat_model(tmp_path / "m.gguf"))
    options = options_of(model, Mode.COMPLETION, RunSettings())
    MeasuredStore(path).note(model.id, "b", options, SIZES, logged())
    assert MeasuredStore(path).of(model.id, "b", options) == SIZES


def test_a_disk_that_takes_nothing_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = spec(chat_model(tmp_path / "m.gguf"))
    store = MeasuredStore(tmp_path / "file" / "measured.json")
    options = options_of(model, Mode.COMPLETION, RunSettings())
    store.note(model.id, "b", options, SIZES, logged())


def test_the_file_is_bounded(tmp_path: Path) -> None:
    model, store = spec(chat_model(tmp_path / "m.gguf")), MeasuredStore(tmp_path / "m.json")
    for number in range(520):
        options = options_of(model, Mode.COMPLETION, RunSettings(context_size=256 + number))
        store.note(model.id, "b", options, SIZES, logged())
    assert store.of(model.id, "b", options_of(model, Mode.COMPLETION, RunSettings(256))) is None
    assert len(store._entries) == 500


async def test_the_next_plan_uses_what_was_measured(tmp_path: Path) -> None:
    model = spec(chat_model(tmp_path / "m.gguf"))
    taken: dict[str, dict[str, int]] = {}

    here = Snapshot(host_total=2048 * MIB, host_free=2048 * MIB)

    async def machine(engine: str) -> Snapshot:
        return here

    planner = RunPlanner(
        SettingsStore(tmp_path / "s.json"),
        FactsReader(),
        machine=machine,
        measured=lambda _, __: taken or None,
    )
    wanted = RunSettings(context_size=512)
    computed = await best(planner, model, wanted)
    taken |= SIZES
    assert await best(planner, model, wanted) == computed
    planner.forget()
    measured = await best(planner, model, wanted)
    assert measured.cost.memory > computed.cost.memory + 40 * MIB


@pytest.mark.parametrize("compute", [0, 50 * MIB])
async def test_near_a_limit_plan_and_recommendation_say_what_a_run_does(
    tmp_path: Path, compute: int
) -> None:
    """Once less was measured than is computed, and once more."""
    model = spec(chat_model(tmp_path / "m.gguf"))
    facts, settings = FactsReader(), SettingsStore(tmp_path / "s.json")
    free = 0

    async def empty(engine: str) -> Snapshot:
        return Snapshot(host_total=2048 * MIB, host_free=2048 * MIB)

    async def now(engine: str) -> Snapshot:
        return Snapshot(host_total=2048 * MIB, host_free=free + HOST_MARGIN)

    def measured(model: ModelSpec, options: Options | VllmOptions) -> Sizes:
        return {"host": {"compute": compute}}

    runs = RunPlanner(settings, facts, machine=empty, measured=measured)
    planning = Planning(facts, runs, now, measured)
    need = (await best(runs, model, RunSettings())).cost.memory
    for free in (need, need - 1):
        plan = await planning.plan(model, Mode.COMPLETION, RunSettings())
        (row,) = await Recommender(planning).each([model])
        assert plan.fits is (free >= need)
        if plan.fits:
            assert plan.total == need == row.needs == plan.devices[-1].bytes
            assert (plan.total < plan.computed) is (compute == 0)
        else:
            assert "are missing" in plan.problem
            assert row.needs < need or not row.fits


async def test_what_is_wrong_with_a_header_is_said(tmp_path: Path) -> None:
    good = chat_model(tmp_path / "m.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(good[:1000])
    model = spec(tmp_path / "cut.gguf")

    async def machine(engine: str) -> Snapshot:
        return Snapshot(host_total=2048 * MIB, host_free=2048 * MIB)

    facts = FactsReader()
    runs = RunPlanner(SettingsStore(tmp_path / "s.json"), facts, machine=machine)
    planning = Planning(facts, runs, machine)
    with pytest.raises(ParseError, match="ends inside its header"):
        await planning.plan(model, Mode.COMPLETION, RunSettings())
    with pytest.raises(ParseError) as refused:
        await planning.plan(model, Mode.COMPLETION, RunSettings())
    assert len(list(walk_tb(refused.value.__traceback__))) < 10
    with pytest.raises(ParseError, match="ends inside its header"):
        await runs.ways("llama.cpp", model, Mode.COMPLETION, RunSettings())
