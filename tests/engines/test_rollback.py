"""A broken build in front of a good one: the model loads, and the broken one is given up."""

from pathlib import Path

import pytest

from stoker.base.errors import LaunchFailed
from stoker.engines import LocalLauncher
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_program import REQUIREMENT
from stoker.engines.rollback import Rollback, fallback
from stoker.engines.spec import Command, Reason
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from tests.engines.conftest import spec_of

BROKEN = "#!/bin/sh\necho '0.00.000.000 E worker: no such instruction' >&2\nexit 4\n"


def broken_build(builds: Builds) -> InstalledBuild:
    staging = builds.staging("llama.cpp", "new")
    (staging / "bin").mkdir(parents=True)
    python = staging / "bin" / "python"
    python.write_text(BROKEN)
    python.chmod(0o755)
    return builds.adopt(
        staging, engine="llama.cpp", variant="native", version="b7", requirement=REQUIREMENT
    )


def command_for(builds: Builds, model: ModelSpec, run_dir: Path) -> Command:
    engine = LlamaCpp(builds=builds)
    return engine.command(model, Mode.COMPLETION, RunSettings(), run_dir / "e" / "e.sock")


async def test_the_build_before_takes_over(models: Path, run_dir: Path, tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    broken_build(builds)
    command = command_for(builds, spec_of(models / "chat.gguf"), run_dir)
    launcher = Rollback(LocalLauncher(), builds)
    engine = LlamaCpp(builds=builds)
    instance = await launcher.start(engine, command, label="ai/x", log=lambda _line: None)
    await instance.stop()
    (retired,) = builds.all("llama.cpp")
    assert "cannot load ai/x, which the one before can" in retired.manifest.retired
    assert "no such instruction" in retired.manifest.retired
    build = engine.build()
    assert build is not None
    assert build.source == "wheel"


async def test_a_build_that_cannot_be_marked_as_broken_is_not_used_either(
    models: Path, run_dir: Path, tmp_path: Path
) -> None:
    builds = Builds(tmp_path)
    broken = broken_build(builds)
    (broken.directory / "build.json.part").mkdir()  # as on a full disk: it cannot be written
    command = command_for(builds, spec_of(models / "chat.gguf"), run_dir)
    launcher, engine = Rollback(LocalLauncher(), builds), LlamaCpp(builds=builds)
    instance = await launcher.start(engine, command, label="ai/x", log=lambda _line: None)
    await instance.stop()
    build = engine.build()
    assert build is not None
    assert build.source == "wheel"


async def test_a_bad_model_is_not_the_builds_fault(
    bad_models: dict[str, Path], run_dir: Path, tmp_path: Path
) -> None:
    builds = Builds(tmp_path)
    broken_build(builds)
    command = command_for(builds, spec_of(bad_models["garbage"]), run_dir)
    with pytest.raises(LaunchFailed, match="no such instruction"):
        await Rollback(LocalLauncher(), builds).start(
            LlamaCpp(builds=builds), command, label="ai/x", log=lambda _line: None
        )
    assert builds.all("llama.cpp")[0].manifest.retired == ""


def test_what_to_fall_back_to(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    old, new = broken_build(builds), broken_build(builds)
    usable = [(build, (str(build.python),)) for build in builds.usable("llama.cpp")]
    own = ("/own/python",)
    command = Command(argv=("tether", str(new.python), "-I", "worker"), socket=Path("/s"))
    found = fallback(command, usable, own, Reason.CRASHED)
    assert found is not None
    assert found[0].directory == new.directory
    assert found[1].argv == ("tether", str(old.python), "-I", "worker")
    command = Command(argv=(str(old.python), "worker"), socket=Path("/s"))
    found = fallback(command, usable, own, Reason.UNKNOWN)
    assert found is not None
    assert found[1].argv == ("/own/python", "worker")
    assert fallback(command, usable, (), Reason.CRASHED) is None
    assert fallback(command, usable, own, Reason.OUT_OF_MEMORY) is None
    assert fallback(Command(argv=("/own/python",), socket=Path("/s")), usable, own, "x") is None


def test_from_a_program_to_the_worker_and_back(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    (build,) = [broken_build(builds)]
    server, worker = ("tether", "/r/bin/llama-server"), ("/own/python", "-I", "worker.py")
    command = Command(argv=(*server, "--model", "m"), socket=Path("/s"))
    found = fallback(command, [(build, server)], worker, Reason.CRASHED)
    assert found is not None
    assert found[1].argv == (*worker, "--model", "m")
    command = Command(argv=(*worker, "--model", "m"), socket=Path("/s"))
    found = fallback(command, [(build, worker), (build, server)], (), Reason.CRASHED)
    assert found is not None
    assert found[1].argv == (*server, "--model", "m")
