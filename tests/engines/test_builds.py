"""Builds side by side on a real disk: which one runs, and what a broken attempt leaves."""

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from stoker.base.errors import StorageError
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_program import REQUIREMENT, find_program


def times() -> Iterator[float]:
    return (float(second) for second in count(1))


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path / "engines", clock=times().__next__)


def made(builds: Builds, variant: str, requirement: str = REQUIREMENT) -> InstalledBuild:
    """A build whose environment is only a link to this Python."""
    staging = builds.staging("llama.cpp", variant)
    (staging / "bin").mkdir(parents=True)
    (staging / "bin" / "python").symlink_to(sys.executable)
    return builds.adopt(
        staging, engine="llama.cpp", variant=variant, version="b7", requirement=requirement
    )


def test_nothing_installed(builds: Builds) -> None:
    assert builds.all("llama.cpp") == builds.usable("llama.cpp") == ()
    assert builds.remove("llama.cpp") == 0
    builds.sweep("llama.cpp")


def test_the_last_installed_runs(builds: Builds) -> None:
    native, vulkan = made(builds, "native"), made(builds, "vulkan")
    assert builds.usable("llama.cpp", REQUIREMENT) == (vulkan, native)
    assert native.directory.name == "native-b7"
    program = find_program({}, builds)
    assert (program.source, program.python) == ("vulkan", vulkan.python)
    build = LlamaCpp({}, builds=builds).build()
    assert build is not None
    assert build.source == "vulkan"


def test_a_kind_of_gpu_is_preferred(builds: Builds, tmp_path: Path) -> None:
    native, vulkan = made(builds, "native"), made(builds, "vulkan")
    newest = made(builds, "native")
    root = tmp_path / "engines"
    assert Builds(root, gpu="vulkan").usable("llama.cpp") == (vulkan, newest, native)
    assert Builds(root, gpu="cuda").usable("llama.cpp") == (newest, vulkan, native)
    assert Builds(root, gpu="none").usable("llama.cpp") == (newest, native)


def test_one_kind_of_gpu_is_removed_alone(builds: Builds) -> None:
    native, vulkan = made(builds, "native"), made(builds, "vulkan")
    assert (native.gpu, vulkan.gpu) == ("none", "vulkan")
    assert builds.remove("llama.cpp", gpu="cuda") == 0
    assert builds.remove("llama.cpp", gpu="vulkan") == 1
    assert builds.all("llama.cpp") == (native,)


def test_llama_server_path_comes_before_builds(builds: Builds, tmp_path: Path) -> None:
    made(builds, "native")
    server = tmp_path / "llama-server"
    server.touch(0o755)
    assert find_program({"LLAMA_SERVER_PATH": str(server)}, builds).llama_server == server


def test_a_build_of_another_package_is_not_used(builds: Builds) -> None:
    made(builds, "native", "xllamacpp==2020.1.1")
    assert find_program({}, builds).source == "wheel"


def test_retired_builds_stay_visible_but_unused(builds: Builds) -> None:
    old, new = made(builds, "native"), made(builds, "native")
    assert new.directory.name == "native-b7.1"
    builds.retire(new, "cannot load ai/x")
    assert builds.usable("llama.cpp") == (old,)
    assert [build.manifest.retired for build in builds.all("llama.cpp")] == ["cannot load ai/x", ""]


def test_a_build_without_its_python_is_none(builds: Builds) -> None:
    made(builds, "native").python.unlink()
    assert builds.all("llama.cpp") == ()


def test_sweep_keeps_two_of_a_variant_and_no_leftovers(builds: Builds) -> None:
    for _ in range(3):
        made(builds, "native")
    other = made(builds, "cuda")
    left = builds.staging("llama.cpp", "vulkan")
    left.mkdir()
    builds.sweep("llama.cpp")
    assert [b.directory.name for b in builds.all("llama.cpp")] == [
        "cuda-b7", "native-b7.2", "native-b7.1",
    ]  # fmt: skip
    assert not left.exists()
    assert other.directory.exists()


def test_staging_is_always_empty(builds: Builds) -> None:
    staging = builds.staging("vllm", "cpu")
    staging.mkdir()
    (staging / "half").touch()
    assert not builds.staging("vllm", "cpu").exists()


def test_a_damaged_manifest_is_no_build(builds: Builds) -> None:
    build = made(builds, "native")
    (build.directory / "build.json").write_text("{")
    assert builds.all("llama.cpp") == ()


def test_remove_all(builds: Builds) -> None:
    made(builds, "native")
    made(builds, "vulkan")
    assert builds.remove("llama.cpp") == 2
    assert builds.all("llama.cpp") == ()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        Builds(tmp_path / "file").staging("vllm", "cpu")
