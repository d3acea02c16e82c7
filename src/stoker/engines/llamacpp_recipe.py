"""How llama.cpp is compiled for this machine, from the source package that belongs to our wheel.

The wheel must run everywhere and therefore uses no instructions newer than AVX2; compiled here, the
same sources use all that this processor has, or a GPU. Everything comes from the Python package
registry that pip is configured for: no other download.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidSetting, NotInstalled
from stoker.engines.llamacpp_kits import GPUS, KITS, Kit, check_headers, check_tools
from stoker.engines.llamacpp_program import NAME, REQUIREMENT, VERSION
from stoker.engines.llamacpp_worker import WHEEL_VERSION
from stoker.engines.machine import Machine
from stoker.engines.recipe import Places, Recipe, Step, environment_step

_MEMORY_PER_JOB: Final = 1024**3
"""What one compiler takes on llama.cpp's largest files."""

# Fetched from elsewhere at build time and needed for nothing Stoker uses: TLS towards hubs, another
# grammar engine (llama.cpp has its own), and the Web UI.
_CMAKE: Final = (
    "-DLLAMA_LLGUIDANCE=OFF", "-DLLAMA_BUILD_BORINGSSL=OFF",
    "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
)  # fmt: skip

_UNPACK: Final = """
import os, sys, tarfile
archive, target = sys.argv[1:]
with tarfile.open(archive) as file:
    file.extractall(target + ".part", filter="data")
os.rename(target + ".part", target)
"""


def llamacpp_recipe(
    gpu: str, machine: Machine, places: Places, environ: Mapping[str, str]
) -> Recipe:
    """The steps of one build. Raises InvalidSetting, and NotInstalled when a tool is missing."""
    kit = KITS[_choose(gpu, machine)]
    check_tools(kit, machine)
    if kit.variant == "cuda":
        _check_cuda(machine, environ)
    if kit.variant == "vulkan" and "Vulkan_INCLUDE_DIR" not in environ.get("CMAKE_ARGS", ""):
        check_headers(kit, machine)
    key = f"{WHEEL_VERSION}-{kit.variant}"
    archive = places.cache / f"xllamacpp-{WHEEL_VERSION}.tar.gz"
    sources, wheels = places.cache / f"sources-{key}", places.cache / f"wheels-{key}"
    pip = (places.environment_python, "-I", "-m", "pip")
    made = wheels / "xllamacpp-*.whl"
    nice = ("nice", "-n", "10") if "nice" in machine.tools else ()
    steps = (
        environment_step(places),
        *_fetch_tools(machine, pip, made),
        Step(
            "fetching llama.cpp's sources",
            (*pip, "download", "--no-deps", "--no-binary", "xllamacpp", "--dest",
             str(places.cache), REQUIREMENT),
            makes=(archive, made),
        ),
        Step(
            "unpacking them",
            (places.python, "-I", "-c", _UNPACK, str(archive), str(sources)),
            makes=(sources, made),
        ),
        # In a directory that stays: what was compiled before an interruption is not compiled again.
        Step(
            "compiling llama.cpp",
            (*nice, *pip, "wheel", "--verbose", "--no-deps", "--no-cache-dir", "--wheel-dir",
             str(wheels), str(sources / f"xllamacpp-{WHEEL_VERSION}")),
            _compile_environment(kit, machine, places, environ),
            makes=(made,),
        ),
        Step(
            "installing it",
            (*pip, "install", "--no-deps", "--no-index", "--find-links", str(wheels), REQUIREMENT),
        ),
    )  # fmt: skip
    return Recipe(
        engine=NAME,
        variant=kit.variant,
        version=VERSION,
        requirement=REQUIREMENT,
        steps=steps,
        disk=kit.disk,
        memory=_MEMORY_PER_JOB * 3 // 2,
        scratch=(sources,),
        kept=(wheels,),
    )


def _choose(gpu: str, machine: Machine) -> str:
    """The key of the kit. Raises InvalidSetting."""
    apple = machine.system == "darwin" and machine.processor == "arm64"
    if gpu == "auto":
        if machine.nvidia and "nvcc" in machine.tools:
            return "cuda"
        return "metal" if apple else "none"
    if gpu not in KITS:
        raise InvalidSetting(
            f'unknown GPU specification: "{gpu}"', hint=f"llama.cpp knows {', '.join(GPUS)}"
        )
    if gpu == "metal" and not apple:
        raise InvalidSetting("Metal is for Macs with Apple's own processors")
    if machine.system not in ("linux", "darwin"):
        raise InvalidSetting(
            f"llama.cpp cannot be compiled here yet ({machine.system})",
            hint="download a release of llama.cpp and set LLAMA_SERVER_PATH to it",
        )
    return gpu


def _check_cuda(machine: Machine, environ: Mapping[str, str]) -> None:
    """It is compiled for the GPU that is there, unless somebody names one. Raises NotInstalled."""
    named = "CUDAARCHS" in environ or "CUDA_ARCHITECTURES" in environ.get("CMAKE_ARGS", "")
    if not machine.nvidia and not named:
        raise NotInstalled(
            "--gpu cuda needs an NVIDIA GPU and its driver, and no driver is loaded here",
            engine=NAME,
            hint="nvidia-smi must list a GPU; to compile for one that is elsewhere, start the"
            " service with its kind in CUDAARCHS, such as 90",
        )


def _fetch_tools(machine: Machine, pip: tuple[str, ...], made: Path) -> tuple[Step, ...]:
    """CMake and ninja are in the Python registry too: no reason to ask anybody for them."""
    missing = [
        name
        for name, needed in (("cmake", True), ("ninja", "make" not in machine.tools))
        if needed and name not in machine.tools
    ]
    title = f"fetching {' and '.join(missing)}"
    return (Step(title, (*pip, "install", *missing), makes=(made,)),) if missing else ()


def _compile_environment(
    kit: Kit, machine: Machine, places: Places, environ: Mapping[str, str]
) -> dict[str, str]:
    # What the user wants for CMake comes last and therefore wins.
    wanted = shlex.split(environ.get("CMAKE_ARGS", ""))
    path = [str(places.staging / "bin"), environ.get("PATH", "")]
    if tool := machine.tools.get(kit.tool):
        path.append(str(Path(tool).parent))
    jobs = max(1, min(machine.cores, machine.memory // _MEMORY_PER_JOB))
    libraries = {}
    if kit.variant == "vulkan" and (sdk := environ.get("VULKAN_SDK")):
        # The SDK's own script tells CMake and the loader of its libraries, and not the compiler.
        already = environ.get("LIBRARY_PATH", "")
        libraries = {"LIBRARY_PATH": f"{already}:{sdk}/lib".lstrip(":")}
    return {
        **kit.switch,
        **libraries,
        **({} if "make" in machine.tools else {"CMAKE_GENERATOR": "Ninja"}),
        "CMAKE_ARGS": shlex.join([*_CMAKE, *wanted]),
        "NPROC": str(jobs),
        "PATH": ":".join(path),
    }
