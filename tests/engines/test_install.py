"""Recipes carried out with real programs: order, progress, failures, cancellation, retries."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from stoker.base.errors import DoesNotFit, EngineError, LaunchFailed, StorageError
from stoker.engines.builds import Builds
from stoker.engines.install import Installer, State, percent_of, reason_in
from stoker.engines.machine import Machine, look
from stoker.engines.recipe import Places, Recipe, Step, check_room, environment_step
from stoker.engines.workshop import Kind
from stoker.engines.workshop import Workshop as Installations

MACHINE = Machine(
    system="linux", processor="x86_64", cores=4, memory=8 << 30, disk=50 << 30, tools={}
)


class Workshop:
    """A recipe, where it is carried out, and what was said meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.builds = Builds(folder / "engines")
        self.cache = folder / "cache"
        self.cache.mkdir()
        self.states: list[State] = []
        self.tested: list[Path] = []
        self.failure: EngineError | None = None
        self.heard: Callable[[State], None] = self.states.append

    def python(self, title: str, code: str, *makes: Path) -> Step:
        return Step(title, (sys.executable, "-I", "-c", code), makes=makes)

    async def install(self, *steps: Step, fresh: bool = False) -> str:
        staging = self.builds.staging("x", "native")
        make = self.python("making it", f"import os; os.makedirs({str(staging / 'bin')!r})")
        link = self.python(
            "linking", f"import os,sys; os.symlink(sys.executable, {str(staging / 'bin/python')!r})"
        )
        recipe = Recipe(
            engine="x", variant="native", version="b1", requirement="x==1",
            steps=(make, link, *steps), disk=1, memory=1, kept=(self.cache / "kept",),
        )  # fmt: skip
        build = await Installer(self.builds, {"PATH": "/usr/bin:/bin"}).install(
            recipe, staging, self.test, self.heard, fresh=fresh
        )
        return build.directory.name

    async def test(self, build: Path) -> str:
        self.tested.append(build)
        if self.failure:
            raise self.failure
        return "fine"

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.builds.root / "x").iterdir())


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


async def test_steps_then_test_then_switch(shop: Workshop) -> None:
    build = shop.python(
        "compiling", "print('[ 50%] Building'); print('[ 50%] Building y'); print('[100%] Linking')"
    )
    assert await shop.install(build) == "native-b1"
    assert [(s.step, s.percent) for s in shop.states] == [
        ("making it", None), ("linking", None), ("compiling", None),
        ("compiling", 50), ("compiling", 99), ("testing it", None),
    ]  # fmt: skip
    assert len(shop.tested) == 1
    assert [b.manifest.requirement for b in shop.builds.usable("x")] == ["x==1"]


async def test_a_part_that_is_made_first_does_not_use_up_the_percent(shop: Workshop) -> None:
    lines = ("3", "50", "4", "100", "9", "42", "40", "60")
    said = "; ".join(f"print('[{line:>3}%] Building')" for line in lines)
    await shop.install(shop.python("compiling", said))
    seen = [s.percent for s in shop.states if s.step == "compiling"]
    assert seen == [None, 3, 50, 4, 99, 9, 42, 60]


async def test_a_failed_step_says_why_and_changes_nothing(shop: Workshop) -> None:
    await shop.install()
    bad = shop.python("compiling", "import sys; sys.exit('x.cpp:1:1: error: no such thing')")
    with pytest.raises(EngineError, match=r"compiling failed: x.cpp:1:1: error: no such thing"):
        await shop.install(bad)
    assert shop.left() == ["native-b1"]
    assert len(shop.tested) == 1


async def test_a_build_that_fails_its_test_is_not_used(shop: Workshop) -> None:
    shop.failure = LaunchFailed("cannot be loaded", engine="x")
    with pytest.raises(LaunchFailed):
        await shop.install()
    assert shop.left() == []


async def test_a_full_disk_is_named(shop: Workshop) -> None:
    full = shop.python("fetching", "raise OSError(28, 'No space left on device')")
    with pytest.raises(StorageError, match="filled up while fetching"):
        await shop.install(full)


async def test_killed_for_memory(shop: Workshop) -> None:
    killed = shop.python("compiling", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(EngineError, match="want of memory") as raised:
        await shop.install(killed)
    assert raised.value.hint is not None
    assert "unload" in raised.value.hint


async def test_a_program_that_is_not_there(shop: Workshop) -> None:
    with pytest.raises(EngineError, match="cannot be run"):
        await shop.install(Step("compiling", ("/no/such/program",)))


async def test_what_is_made_already_is_not_made_again(shop: Workshop) -> None:
    made = shop.cache / "kept" / "x-*.whl"
    code = (
        f"import os; os.makedirs({str(made.parent)!r}); open({str(made.parent / 'x-1.whl')!r}, 'w')"
    )
    step = shop.python("compiling", code, made)
    await shop.install(step)
    await shop.install(step)
    assert [state.step for state in shop.states].count("compiling") == 1
    await shop.install(step, fresh=True)
    assert [state.step for state in shop.states].count("compiling") == 2


async def test_cancelling_leaves_no_process_and_no_half_build(shop: Workshop) -> None:
    endless = shop.python(
        "compiling",
        "import subprocess, sys; print('[ 1%] Building', flush=True);"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
    )
    compiling = asyncio.Event()
    shop.heard = lambda state: compiling.set() if state.percent else None
    task = asyncio.create_task(shop.install(endless))
    await compiling.wait()
    assert psutil.Process().children(recursive=True)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shop.left() == []  # that no process is left is checked for every test


async def test_a_real_environment_survives_being_moved(shop: Workshop, tmp_path: Path) -> None:
    """Builds are made elsewhere and renamed: a venv must work after that."""
    staging = shop.builds.staging("y", "native")
    places = Places(staging, tmp_path, sys.executable)
    recipe = Recipe(
        engine="y", variant="native", version="1", requirement="y==1",
        steps=(environment_step(places),), disk=1, memory=1,
    )  # fmt: skip
    installer = Installer(shop.builds, {"PATH": "/usr/bin:/bin", "PYTHONHOME": "/nonsense"})
    build = await installer.install(recipe, staging, shop.test, shop.states.append)
    child = await asyncio.create_subprocess_exec(
        build.python, "-I", "-c", "import sys; print(sys.prefix)", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert out.decode().strip() == str(build.directory)


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        ("[ 12%] Building CXX object x.o", 12),
        ("  [100%] Linking CXX static library", 100),  # pip indents what a build says
        ("[7/28] Building CXX object x.o", 25),
        ("[999%] no", 100),
        ("[1/1] Cythonizing x.pyx", None),
        ("Collecting x", None),
        ("progress [ 12%] in the middle", None),
    ],
)
def test_percent(line: str, percent: int | None) -> None:
    assert percent_of(line) == percent


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["a", "x.cpp:3: error: boom", "make: *** Error 1"], "x.cpp:3: error: boom"),
        (
            [
                "  fatal: not a git repository (or any of the parent directories): .git",
                "  -- Warning: ccache not found",
                "  CMake Error in CMakeLists.txt:",
                '    CUDA_ARCHITECTURES is set to "native", but no GPU.',
                "  -- Generating done",
                "  error: subprocess-exited-with-error",
                "  ERROR: Failed building wheel for x",
            ],
            'CMake Error in CMakeLists.txt: CUDA_ARCHITECTURES is set to "native", but no GPU.',
        ),
        (["a", "b"], "a; b"),
        ([], ""),
    ],
)
def test_reason(lines: Sequence[str], reason: str) -> None:
    assert reason_in(lines) == reason


def test_room_is_checked_first() -> None:
    def recipe(disk: int, memory: int) -> Recipe:
        return Recipe(
            engine="x", variant="v", version="1", requirement="x", steps=(),
            disk=disk, memory=memory,
        )  # fmt: skip

    check_room(recipe(1, 1), MACHINE)
    with pytest.raises(StorageError, match=r"60\.00GiB of disk space"):
        check_room(recipe(60 << 30, 1), MACHINE)
    with pytest.raises(DoesNotFit, match=r"9\.00GiB of memory"):
        check_room(recipe(1, 9 << 30), MACHINE)


def test_looking_at_this_machine(tmp_path: Path) -> None:
    machine = look(tmp_path / "not" / "there", {"PATH": "/usr/bin:/bin", "CXX": "my-c++"})
    assert machine.cores >= 1
    assert machine.disk > 0
    assert machine.memory > 0
    assert machine.tools["c++"] == "my-c++"


@pytest.mark.parametrize(("prefer", "made"), [("none", "none"), ("auto", "auto"), ("cuda", "auto")])
async def test_nothing_is_made_for_gpus_that_are_not_to_be_used(
    tmp_path: Path, prefer: str, made: str
) -> None:
    def recipe(gpu: str, _machine: Machine, places: Places, _environ: object) -> Recipe:
        code = "import os,sys; os.makedirs(sys.argv[1]); os.symlink(sys.executable, sys.argv[2])"
        folder = places.staging / "bin"
        argv = (sys.executable, "-I", "-c", code, str(folder), str(folder / "python"))
        return Recipe(
            engine="x", variant=gpu, version="b1", requirement="x==1", steps=(Step("m", argv),),
            disk=1, memory=1,
        )  # fmt: skip

    async def fine(_build: Path) -> str:
        return "fine"

    builds = Builds(tmp_path / "engines", gpu=prefer)
    environ = {"PATH": "/usr/bin:/bin"}
    works = Installations(builds, tmp_path, tmp_path / "cache", environ, {"x": Kind(recipe, fine)})
    build = await works.install("x", "auto", lambda _state: None)
    assert build.manifest.variant == made
    wanted = await works.install("x", "vulkan", lambda _state: None)
    assert wanted.manifest.variant == "vulkan"
