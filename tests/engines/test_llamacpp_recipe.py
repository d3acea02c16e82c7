"""How llama.cpp is made on which machine, and what is asked for when something is missing."""

from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting, NotInstalled
from stoker.engines.llamacpp_recipe import llamacpp_recipe
from stoker.engines.machine import Machine, look
from stoker.engines.recipe import Places, Recipe, Step

GIB = 1 << 30
DEBIAN = Machine(
    system="linux",
    processor="x86_64",
    cores=8,
    memory=16 * GIB,
    disk=100 * GIB,
    tools={n: f"/usr/bin/{n}" for n in ("apt-get", "g++", "make", "cmake", "nice")},
)
MAC = replace(DEBIAN, system="darwin", processor="arm64", tools={"clang++": "c", "make": "m"})
PLACES = Places(Path("/e/llama.cpp/.staging-x"), Path("/cache"), "/usr/bin/python3")


def recipe(gpu: str = "none", machine: Machine = DEBIAN, **environ: str) -> Recipe:
    return llamacpp_recipe(gpu, machine, PLACES, {"PATH": "/usr/bin", **environ})


def step(made: Recipe, title: str) -> Step:
    return next(step for step in made.steps if step.title == title)


def test_the_native_recipe() -> None:
    made = recipe()
    assert (made.engine, made.variant, made.version) == ("llama.cpp", "native", "b11549")
    assert [step.title for step in made.steps] == [
        "making a private Python environment", "fetching llama.cpp's sources", "unpacking them",
        "compiling llama.cpp", "installing it",
    ]  # fmt: skip
    compiling = step(made, "compiling llama.cpp")
    assert compiling.argv[:3] == ("nice", "-n", "10")
    assert compiling.argv[-1] == "/cache/sources-2026.10.11549-native/xllamacpp-2026.10.11549"
    assert compiling.environment["NPROC"] == "8"
    assert "-DLLAMA_BUILD_BORINGSSL=OFF" in compiling.environment["CMAKE_ARGS"]
    assert not any(name.startswith("XLLAMACPP_BUILD") for name in compiling.environment)


def test_a_finished_wheel_needs_neither_sources_nor_compiler_run() -> None:
    made = recipe()
    wheel = Path("/cache/wheels-2026.10.11549-native/xllamacpp-*.whl")
    for title in ("fetching llama.cpp's sources", "unpacking them", "compiling llama.cpp"):
        assert wheel in step(made, title).makes
    assert made.kept == (wheel.parent,)


def test_memory_bounds_the_number_of_compilers() -> None:
    compiling = step(recipe(machine=replace(DEBIAN, memory=3 * GIB)), "compiling llama.cpp")
    assert compiling.environment["NPROC"] == "3"


def test_the_users_cmake_arguments_win() -> None:
    compiling = step(recipe(CMAKE_ARGS="-DGGML_BLAS=ON"), "compiling llama.cpp")
    assert compiling.environment["CMAKE_ARGS"].endswith(" -DGGML_BLAS=ON")


def test_cmake_and_ninja_come_from_the_registry() -> None:
    made = recipe(machine=replace(DEBIAN, tools={"g++": "/usr/bin/g++"}))
    fetching = step(made, "fetching cmake and ninja")
    assert fetching.argv[-2:] == ("cmake", "ninja")
    compiling = step(made, "compiling llama.cpp").environment
    assert compiling["CMAKE_GENERATOR"] == "Ninja"
    assert compiling["PATH"].startswith("/e/llama.cpp/.staging-x/bin:")


@pytest.mark.parametrize(
    ("gpu", "tool", "variable"),
    [
        ("vulkan", "glslc", "XLLAMACPP_BUILD_VULKAN"),
        ("cuda", "nvcc", "XLLAMACPP_BUILD_CUDA"),
        ("rocm", "hipconfig", "XLLAMACPP_BUILD_HIP"),
    ],
)
def test_gpu_builds(gpu: str, tool: str, variable: str) -> None:
    tools = {**DEBIAN.tools, tool: f"/opt/kit/bin/{tool}"}
    machine = replace(DEBIAN, tools=tools, vulkan_headers=True, nvidia=gpu == "cuda")
    made = recipe(gpu, machine)
    environment = step(made, "compiling llama.cpp").environment
    assert made.variant == gpu
    assert environment[variable] == "1"
    assert environment["PATH"].endswith(":/opt/kit/bin")


@pytest.mark.parametrize(
    ("tools", "gpu", "lacking", "advice"),
    [
        (("apt-get", "make"), "none", r"a C\+\+ compiler", "sudo apt-get install -y g++ make"),
        (("dnf",), "none", r"a C\+\+ compiler", "sudo dnf install -y gcc-c++ make"),
        (("apk",), "none", r"a C\+\+ compiler", "sudo apk add build-base"),
        ((), "none", r"a C\+\+ compiler", "install g++ or clang++, then try again"),
        (("apt-get", "g++"), "cuda", "CUDA toolkit", "sudo apt-get install -y nvidia-cuda-toolkit"),
        (("zypper", "g++"), "rocm", "HIP", "install ROCm"),
        (
            ("apt-get",),
            "vulkan",
            r"a C\+\+ compiler and Vulkan's",
            "sudo apt-get install -y g++ make glslc libvulkan-dev spirv-headers",
        ),
    ],
)
def test_what_is_missing_is_asked_for(
    tools: tuple[str, ...], gpu: str, lacking: str, advice: str
) -> None:
    machine = replace(DEBIAN, tools={name: f"/usr/bin/{name}" for name in tools})
    with pytest.raises(NotInstalled, match=lacking) as e:
        recipe(gpu, machine)
    assert e.value.hint == advice


def test_cuda_is_compiled_for_the_gpu_that_is_there_or_for_one_that_is_named() -> None:
    elsewhere = replace(DEBIAN, tools={**DEBIAN.tools, "nvcc": "/usr/bin/nvcc"})
    with pytest.raises(NotInstalled, match="no driver is loaded here"):
        recipe("cuda", elsewhere)
    assert recipe("cuda", elsewhere, CUDAARCHS="90").variant == "cuda"
    assert recipe("cuda", elsewhere, CMAKE_ARGS="-DCMAKE_CUDA_ARCHITECTURES=90").variant == "cuda"


def test_vulkan_headers_are_looked_at_before_anything_is_compiled(tmp_path: Path) -> None:
    tools = {**DEBIAN.tools, "glslc": "/usr/bin/glslc"}
    with pytest.raises(NotInstalled, match="headers of Vulkan and SPIR-V, not found") as e:
        recipe("vulkan", replace(DEBIAN, tools=tools))
    assert e.value.hint == "sudo apt-get install -y glslc libvulkan-dev spirv-headers"
    old = replace(DEBIAN, tools=tools, vulkan_headers=False)
    with pytest.raises(NotInstalled, match="too old") as e:
        recipe("vulkan", old)
    assert "CMAKE_PREFIX_PATH" in (e.value.hint or "")
    # Who names other ones is believed.
    assert recipe("vulkan", old, CMAKE_ARGS="-DVulkan_INCLUDE_DIR=/new").variant == "vulkan"
    here = {"CMAKE_PREFIX_PATH": f"/none:{tmp_path}", "PATH": "/usr/bin"}
    for folder, name, text in (
        ("spirv/unified1", "spirv.hpp", ""),
        ("vulkan", "vulkan_core.h", "typedef struct VkLayerSettingEXT {"),
    ):
        (tmp_path / "include" / folder).mkdir(parents=True)
        (tmp_path / "include" / folder / name).write_text(text)
    assert look(tmp_path, here).vulkan_headers
    (tmp_path / "include/vulkan/vulkan_core.h").write_text("typedef struct VkInstance_T")
    assert look(tmp_path, here).vulkan_headers is False


def test_the_vulkan_sdk_is_linked_with() -> None:
    tools = {**DEBIAN.tools, "glslc": "/sdk/bin/glslc"}
    machine = replace(DEBIAN, tools=tools, vulkan_headers=True)
    made = recipe("vulkan", machine, VULKAN_SDK="/sdk", LIBRARY_PATH="/mine")
    assert step(made, "compiling llama.cpp").environment["LIBRARY_PATH"] == "/mine:/sdk/lib"


def test_a_mac_without_tools() -> None:
    with pytest.raises(NotInstalled) as raised:
        recipe("auto", replace(MAC, tools={}))
    assert raised.value.hint == "xcode-select --install"


@pytest.mark.parametrize(
    ("machine", "variant"),
    [
        (DEBIAN, "native"),
        (replace(DEBIAN, nvidia=True), "native"),  # a driver alone compiles nothing
        (replace(DEBIAN, nvidia=True, tools={**DEBIAN.tools, "nvcc": "/n/nvcc"}), "cuda"),
        (MAC, "metal"),
    ],
)
def test_auto(machine: Machine, variant: str) -> None:
    assert recipe("auto", machine).variant == variant


@pytest.mark.parametrize(
    ("gpu", "machine", "words"),
    [
        ("quantum", DEBIAN, 'unknown GPU specification: "quantum"'),
        ("metal", DEBIAN, "Macs"),
        ("none", replace(DEBIAN, system="win32"), "cannot be compiled here"),
    ],
)
def test_refusals(gpu: str, machine: Machine, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        recipe(gpu, machine)
