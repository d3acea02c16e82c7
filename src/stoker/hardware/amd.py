"""AMD GPUs out of sysfs, where the amdgpu driver tells how much memory they have and use."""

from pathlib import Path
from typing import Final

from stoker.hardware.files import number_of, text_of
from stoker.hardware.finding import Finding
from stoker.planner.devices import Device, DeviceKind

KIND: Final = "AMD"
_AMD: Final = "0x1002"
_CARVED: Final = 4 * 1024 * 1024 * 1024
"""Bytes. An integrated GPU has less than this of its own and borrows the host's (GTT)."""


def find(drm: Path = Path("/sys/class/drm"), kfd: Path = Path("/dev/kfd")) -> Finding:
    """All cards; `drm` is where the kernel lists them, `kfd` what ROCm computes through."""
    cards = sorted(
        (card for card in drm.glob("card*") if card.name.removeprefix("card").isdigit()),
        key=lambda card: int(card.name.removeprefix("card")),
    )
    mine = [card / "device" for card in cards if text_of(card / "device/vendor") == _AMD]
    found = tuple(d for d in (_device(number, path) for number, path in enumerate(mine)) if d)
    if found and not kfd.exists():
        return Finding(
            KIND,
            found,
            note="ROCm cannot use it: /dev/kfd is missing; Vulkan may",
            advice="in a container: --device /dev/kfd --device /dev/dri",
        )
    if mine and not found:
        return Finding(
            KIND, note="there is one and the amdgpu driver is not loaded", advice="load amdgpu"
        )
    return Finding(KIND, found, note="" if found else "none in this machine")


def _device(number: int, path: Path) -> Device | None:
    total, used = number_of(path / "mem_info_vram_total"), number_of(path / "mem_info_vram_used")
    if total is None or used is None:
        return None
    name = text_of(path / "product_name") or "AMD GPU"
    borrowed = number_of(path / "mem_info_gtt_total") or 0
    if total < _CARVED and borrowed:
        taken = number_of(path / "mem_info_gtt_used") or 0
        return Device(
            id=f"ROCm{number}",
            name=name,
            kind=DeviceKind.SHARED,
            total=total + borrowed,
            free=max(total - used, 0) + max(borrowed - taken, 0),
        )
    return Device(id=f"ROCm{number}", name=name, total=total, free=max(total - used, 0))
