"""What compiling llama.cpp needs for each kind of GPU, and which packages have it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stoker.base.errors import NotInstalled
from stoker.engines.llamacpp_program import NAME
from stoker.engines.machine import Machine

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Kit:
    """What a kind of GPU needs. `packages`: package manager to what provides the tool."""

    variant: str
    switch: Mapping[str, str]
    disk: int
    tool: str = ""
    what: str = ""
    packages: Mapping[str, str] | None = None
    elsewhere: str = ""
    """Advice where no package manager has it."""


KITS: Final[Mapping[str, Kit]] = {
    "none": Kit("native", {}, 2 * _GIB),
    "metal": Kit("metal", {}, 2 * _GIB),
    "vulkan": Kit(
        "vulkan",
        {"XLLAMACPP_BUILD_VULKAN": "1"},
        3 * _GIB,
        "glslc",
        "Vulkan's shader compiler and headers",
        {
            "apt-get": "glslc libvulkan-dev spirv-headers",
            "dnf": "glslc vulkan-devel spirv-headers-devel",
            "pacman": "shaderc vulkan-headers vulkan-icd-loader spirv-headers",
        },
        "install the Vulkan SDK",
    ),
    "cuda": Kit(
        "cuda",
        {"XLLAMACPP_BUILD_CUDA": "1"},
        8 * _GIB,
        "nvcc",
        "NVIDIA's CUDA toolkit",
        {"apt-get": "nvidia-cuda-toolkit", "pacman": "cuda"},
        "install the CUDA toolkit",
    ),
    "rocm": Kit(
        "rocm",
        {"XLLAMACPP_BUILD_HIP": "1"},
        8 * _GIB,
        "hipconfig",
        "AMD's HIP development kit",
        {"apt-get": "hipcc", "dnf": "rocm-hip-devel hipblas-devel", "pacman": "rocm-hip-sdk"},
        "install ROCm",
    ),
}
GPUS: Final = (*KITS, "auto")

_BREW: Final = "brew install shaderc vulkan-headers vulkan-loader spirv-headers molten-vk"

_COMPILERS: Final = {
    "apt-get": "g++ make", "dnf": "gcc-c++ make", "zypper": "gcc-c++ make", "apk": "build-base",
    "pacman": "base-devel",
}  # fmt: skip
_INSTALL: Final = {
    "apt-get": "sudo apt-get install -y", "dnf": "sudo dnf install -y", "apk": "sudo apk add",
    "zypper": "sudo zypper install -y", "pacman": "sudo pacman -S --needed",
}  # fmt: skip


def check_tools(kit: Kit, machine: Machine) -> None:
    """Raises NotInstalled with the command that installs what is missing."""
    compiler = any(name in machine.tools for name in ("c++", "g++", "clang++"))
    toolkit = not kit.tool or kit.tool in machine.tools
    if compiler and toolkit:
        return
    lacking = " and ".join(
        what for what, there in (("a C++ compiler", compiler), (kit.what, toolkit)) if not there
    )
    raise NotInstalled(
        f"compiling llama.cpp ({kit.variant}) needs {lacking}, not found on this machine",
        engine=NAME,
        hint=_advice(kit, machine, compiler=compiler, toolkit=toolkit),
    )


def check_headers(kit: Kit, machine: Machine) -> None:
    """Before minutes of compiling. Raises NotInstalled."""
    if machine.vulkan_headers is None:
        raise NotInstalled(
            "compiling llama.cpp (vulkan) needs the headers of Vulkan and SPIR-V, not found on this"
            " machine",
            engine=NAME,
            hint=_advice(kit, machine, compiler=True, toolkit=False),
        )
    if not machine.vulkan_headers:
        raise NotInstalled(
            "this machine's Vulkan headers are too old for llama.cpp",
            engine=NAME,
            hint="unpack newer ones (the Vulkan SDK, or a newer release's libvulkan-dev), and name"
            " their directory in CMAKE_PREFIX_PATH",
        )


def _advice(kit: Kit, machine: Machine, *, compiler: bool, toolkit: bool) -> str:
    if machine.system == "darwin":
        return "xcode-select --install" if not compiler else _BREW
    manager = next((name for name in _INSTALL if name in machine.tools), "")
    packages = [] if compiler else [_COMPILERS.get(manager, "")]
    if not toolkit:
        packages.append((kit.packages or {}).get(manager, ""))
    if not manager or "" in packages:
        return kit.elsewhere if compiler else "install g++ or clang++, then try again"
    return f"{_INSTALL[manager]} {' '.join(packages)}"
