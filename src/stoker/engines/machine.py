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
    )


def _existing(place: Path) -> Path:
    """The directory or its nearest parent that is there."""
    return next(path for path in (place, *place.parents) if path.exists())
