"""Layers dealt over GPUs: which device gets how many, and what it then has to hold. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stoker.planner.devices import Device
from stoker.planner.estimate import Estimate, LayerBytes
from stoker.planner.room import usable

COMPUTE_SHARE: Final = 0.10
COMPUTE_EXTRA: Final = 64 * 1024 * 1024
"""The compute buffer is known for the CPU; GPU kernels differ by about this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one device gets."""

    device: str
    layers: int
    """The output head counts as one."""
    bytes: int


def on_device(estimate: Estimate, layers: Sequence[LayerBytes], *, first: bool, copied: int) -> int:
    """What a device needs that holds these layers. The first one also gets the projector.

    `copied`: the largest tensor that stays in host memory; batches are computed on the GPU all the
    same, which takes such tensors one at a time.
    """
    compute = estimate.gpu_compute
    if copied:
        compute = max(compute, estimate.compute) + copied
    compute = int(compute * (1 + COMPUTE_SHARE)) + COMPUTE_EXTRA
    extra = estimate.extra_weights if first else 0
    return sum(layer.on_gpu for layer in layers) + compute + extra


def dealt(
    estimate: Estimate, layers: Sequence[LayerBytes], devices: Sequence[Device], *, copied: int
) -> tuple[Share, ...] | None:
    """The layers dealt in order over all devices, as evenly as what they can use allows."""
    low, high = 0.0, 1.0
    best = _filled(estimate, layers, devices, share=high, copied=copied)
    if best is None:
        return None
    for _ in range(20):  # to a millionth of a device
        middle = (low + high) / 2
        found = _filled(estimate, layers, devices, share=middle, copied=copied)
        if found is None:
            low = middle
        else:
            best, high = found, middle
    return best


def _filled(
    estimate: Estimate,
    layers: Sequence[LayerBytes],
    devices: Sequence[Device],
    *,
    share: float,
    copied: int,
) -> tuple[Share, ...] | None:
    """Each device filled up to this share of what can be used; None when layers are left over."""
    shares: list[Share] = []
    at = 0
    for number, device in enumerate(devices):
        room = int(usable(device) * share) - on_device(
            estimate, (), first=number == 0, copied=copied
        )
        end, taken = at, 0
        while end < len(layers) and taken + layers[end].on_gpu <= room:
            taken += layers[end].on_gpu
            end += 1
        if end == at:
            return None  # a device that gets nothing is not needed: fewer are tried as well
        size = on_device(estimate, layers[at:end], first=number == 0, copied=copied)
        shares.append(Share(device=device.id, layers=end - at, bytes=size))
        at = end
    return tuple(shares) if at == len(layers) else None
