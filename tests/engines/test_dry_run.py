"""What the real engine says a load would take, against what it then takes."""

import os
import sys
from pathlib import Path

import pytest

from stoker.engines.dry_run import DryRun, read_sizes
from stoker.engines.launcher import LocalLauncher
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_program import Program
from stoker.planner.devices import HOST
from stoker.planner.estimate import estimate_llamacpp
from stoker.planner.options import Options
from stoker.planner.spec import Mode, RunSettings
from stoker.store.headers import gguf_facts
from tests.components.tiny_models import bad_models, chat_model
from tests.engines.conftest import spec_of

MIB = 1024 * 1024
SETTINGS = RunSettings(context_size=4096)


async def test_the_wheel_says_what_it_takes(run_dir: Path, tmp_path: Path) -> None:
    model = spec_of(chat_model(tmp_path / "m.gguf"))
    said = await DryRun(LlamaCpp(), LocalLauncher(), run_dir)(model, Mode.COMPLETION, SETTINGS)
    plan = estimate_llamacpp(gguf_facts(model.weights), Options(context=4096))
    assert list(said) == [HOST]
    for kind, size in (("weights", plan.weights), ("cache", plan.cache), ("compute", plan.compute)):
        assert said[HOST][kind] == pytest.approx(size, abs=MIB)


async def test_a_file_that_is_no_model_is_left_to_the_load(run_dir: Path, tmp_path: Path) -> None:
    model = spec_of(bad_models(tmp_path)["garbage"])
    ask = DryRun(LlamaCpp(), LocalLauncher(), run_dir)
    assert await ask(model, Mode.COMPLETION, SETTINGS) == {}


async def test_a_llama_server_is_not_asked(run_dir: Path, tmp_path: Path) -> None:
    model = spec_of(chat_model(tmp_path / "m.gguf"))
    engine = LlamaCpp(os.environ, program=Program("system", Path(sys.executable)))
    assert await DryRun(engine, LocalLauncher(), run_dir)(model, Mode.COMPLETION, SETTINGS) == {}


def test_lines_of_several_gpus() -> None:
    said = read_sizes(["load: 1 2 3", "CUDA0 4095 544 160", "CUDA1 12 0 1", "Host 70 0 12", "x"])
    assert said == {
        "CUDA0": {"weights": 4095 * MIB, "cache": 544 * MIB, "compute": 160 * MIB},
        "CUDA1": {"weights": 12 * MIB, "cache": 0, "compute": MIB},
        HOST: {"weights": 70 * MIB, "cache": 0, "compute": 12 * MIB},
    }
