"""NVIDIA GPUs through the driver's own library (NVML); `nvidia-ml-py` is an optional dependency."""

import importlib
import os
from pathlib import Path
from typing import Any, Final

from stoker.hardware.finding import Finding
from stoker.planner.devices import Device

KIND: Final = "NVIDIA"
_DRIVER: Final = Path("/proc/driver/nvidia/version")
_NVIDIA: Final = "0x10de"
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


def find(drm: Path = Path("/sys/bus/pci/devices")) -> Finding:
    """All GPUs this process may use, numbered as the driver does. Blocks for some milliseconds."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return _without_library(drm)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return _without_driver(drm, str(error))
    try:
        count = nvml.nvmlDeviceGetCount()
        visible = _visible(nvml, count)
        looks = [_look(nvml, number) for number in visible]
    except nvml.NVMLError as error:
        return Finding(KIND, note=f"the driver does not list its GPUs: {error}")
    finally:
        nvml.nvmlShutdown()
    found = tuple(look for look in looks if isinstance(look, Device))
    lost = [look for look in looks if isinstance(look, str)]
    if hidden := count - len(visible):
        lost.append(f"{_VISIBLE}={os.environ[_VISIBLE]} hides {hidden} of {count}")
    if not count:
        lost.append("the driver is loaded and knows of none")
    return Finding(KIND, found, note="; ".join(lost))


def _visible(nvml: Any, count: int) -> list[int]:
    """Those that CUDA_VISIBLE_DEVICES names by number or UUID, up to a word that names none."""
    chosen = os.environ.get(_VISIBLE)
    if chosen is None:
        return list(range(count))
    names = [(str(number), _uuid(nvml, number)) for number in range(count)]
    found: list[int] = []
    for word in map(str.strip, chosen.split(",")):
        named = [
            number
            for number, (digits, uuid) in enumerate(names)
            if word == digits or (word.startswith("GPU-") and uuid.startswith(word))
        ]
        if len(named) != 1:
            break
        found += named
    return sorted(set(found))


def _uuid(nvml: Any, number: int) -> str:
    try:
        uuid = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(number))
    except nvml.NVMLError:
        return ""
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


def _look(nvml: Any, number: int) -> Device | str:
    """Or why not: it fell off the bus, or its memory is divided (MIG)."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        name = nvml.nvmlDeviceGetName(handle)
    except nvml.NVMLError as error:
        return f"GPU {number} does not tell its memory: {error}"
    text = name.decode() if isinstance(name, bytes) else str(name)
    return Device(id=f"CUDA{number}", name=text, total=int(memory.total), free=int(memory.free))


def _present(drm: Path) -> bool:
    """Whether the machine has one, whatever the driver says."""
    for vendor in drm.glob("*/vendor"):
        try:
            display = (vendor.parent / "class").read_text().startswith("0x03")
            if display and vendor.read_text().strip() == _NVIDIA:
                return True
        except OSError:
            continue
    return False


def _without_library(drm: Path) -> Finding:
    if not _DRIVER.exists() and not _present(drm):
        return Finding(KIND, note="none in this machine")
    return Finding(
        KIND,
        note="there is one, but its memory cannot be read: nvidia-ml-py is not installed",
        advice="pip install 'stoker[nvidia]'",
    )


def _without_driver(drm: Path, why: str) -> Finding:
    if _DRIVER.exists():
        return Finding(
            KIND,
            note=f"the driver is loaded and does not answer: {why}",
            advice="in a container: run it with --gpus all; else restart after a driver update",
        )
    if _present(drm):
        return Finding(
            KIND,
            note=f"there is one and no driver for it: {why}",
            advice="install NVIDIA's driver, and see that nvidia-smi works",
        )
    return Finding(KIND, note="none in this machine")
