"""What this machine offers for making an engine: looked at once, then decided on in pure code."""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_TOOLS: Final = (
    "apt-get", "apk", "brew", "c++", "clang++", "cmake", "dnf", "g++", "glslc", "hipconfig", "make",
    "nice", "ninja", "nvcc", "pacman", "zypper",
)  # fmt: skip
_INCLUDES: Final = [Path(prefix) / "include" for prefix in ("/usr", "/usr/local", "/opt/homebrew")]
_NEWEST_USED: Final = b"VkLayerSettingEXT"
"""Of all that llama.cpp's Vulkan code needs, what came into Vulkan last (end of 2023)."""
# Where their installers put them without telling PATH.
_ELSEWHERE: Final = {
    "nvcc": Path("/usr/local/cuda/bin/nvcc"),
    "hipconfig": Path("/opt/rocm/bin/hipconfig"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Sizes in bytes. `tools`: name to path of what was found."""

    system: str
    """As Python has it: `linux`, `darwin`, `win32`."""
    processor: str
    """`x86_64`, `aarch64`, `arm64`."""
    cores: int
    memory: int
    """What is free now."""
    disk: int
    """What is free where engines are kept."""
    tools: Mapping[str, str]
    nvidia: bool = False
    """Whether an NVIDIA driver is loaded."""
    vulkan_headers: bool | None = None
    """Whether Vulkan's C headers know what llama.cpp uses of them; None when there are none."""


def look(place: Path, environ: Mapping[str, str]) -> Machine:
    """What there is now; `place` is where engines are kept."""
    tools = {}
    for name in _TOOLS:
        if found := shutil.which(name, path=environ.get("PATH")):
            tools[name] = found
        elif os.access(_ELSEWHERE.get(name, ""), os.X_OK):
            tools[name] = str(_ELSEWHERE[name])
    if compiler := environ.get("CXX"):
        tools["c++"] = compiler
    return Machine(
        system=sys.platform,
        processor=platform.machine().lower(),
        cores=os.cpu_count() or 1,
        memory=psutil.virtual_memory().available,
        disk=shutil.disk_usage(_existing(place)).free,
        tools=tools,
        nvidia=Path("/proc/driver/nvidia/version").exists()
        or shutil.which("nvidia-smi", path=environ.get("PATH")) is not None,
        vulkan_headers=_vulkan_headers(environ),
    )


def _vulkan_headers(environ: Mapping[str, str]) -> bool | None:
    """Of the first place where CMake would find both Vulkan's and SPIR-V's."""
    named = [environ.get("VULKAN_SDK", ""), *environ.get("CMAKE_PREFIX_PATH", "").split(":")]
    places = [Path(name) / "include" for name in named if name] + _INCLUDES
    if not any((place / "spirv/unified1/spirv.hpp").exists() for place in places):
        return None
    for place in places:
        try:
            return _NEWEST_USED in (place / "vulkan/vulkan_core.h").read_bytes()
        except OSError:
            continue
    return None


def _existing(place: Path) -> Path:
    """The directory or its nearest parent that is there."""
    return next(path for path in (place, *place.parents) if path.exists())
