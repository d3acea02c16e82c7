"""What `stoker doctor` checks: one line each, with advice where there is something to do."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from stoker.base.units import binary_size
from stoker.engines.spec import Build
from stoker.engines.vllm import NAME as VLLM
from stoker.hardware.finding import Finding
from stoker.planner.devices import Device
from stoker.wire.plan import Check

_GIB: Final = 1024**3
_FEATURES: Final = ("avx", "avx2", "f16c", "fma", "avx512f", "avx512_vnni", "avx_vnni",
                    "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve")  # fmt: skip
_WHEEL: Final = "wheel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptoms:
    """Everything the checks are about, looked at beforehand. Sizes in bytes."""

    memory: int
    available: int
    budget: int
    swap_used: int = 0
    disk_free: int = 0
    cores: int = 1
    usable_cores: int | None = None
    processor: str = ""
    features: frozenset[str] = frozenset()
    gpus: Sequence[Finding] = ()
    builds: dict[str, Build | None] = field(default_factory=dict)
    devices: Sequence[Device] = ()
    """Those that llama.cpp can use."""
    unconfined: str = ""
    """Why engines are not confined as they should be."""
    loopbacks: bool = True
    """Whether engines whose processes talk to each other get a network of their own."""


def swap_used() -> int:
    """Bytes."""
    return int(psutil.swap_memory().used)


def disk_free(place: Path) -> int:
    """Bytes free where models are kept."""
    return shutil.disk_usage(place).free


def checks(seen: Symptoms) -> Iterator[Check]:
    """Pure: from what was seen to what people should know."""
    yield from _engines(seen)
    yield _confinement(seen)
    yield from _network(seen)
    yield from _gpus(seen)
    yield from _processor(seen)
    yield from _memory(seen)
    low = seen.disk_free < 10 * _GIB
    yield Check(
        "disk",
        "problem" if low else "ok",
        f"{binary_size(seen.disk_free)} free for models",
        "stoker prune, stoker rm, or MODELS_PATH on a larger disk" if low else "",
    )


def _engines(seen: Symptoms) -> Iterator[Check]:
    for name, build in seen.builds.items():
        if build is None:
            needed = name == "llama.cpp"
            yield Check(
                name,
                "problem" if needed else "note",
                "not installed",
                f"stoker install-runner --backend {name}",
            )
        else:
            slow = build.source == _WHEEL
            yield Check(
                name,
                "note" if slow else "ok",
                str(build),
                "made for any machine: a build for this one reads prompts up to twice as fast:"
                f" stoker install-runner --backend {name}" if slow else "",
            )  # fmt: skip


def _confinement(seen: Symptoms) -> Check:
    if not seen.unconfined:
        return Check(
            "engines",
            "ok",
            "confined: each reads its model and the system, writes in a place of its own",
        )
    return Check(
        "engines",
        "problem",
        seen.unconfined,
        "run only models of people you trust, or Stoker on Linux 6.7 or newer with Landlock on",
    )


def _network(seen: Symptoms) -> Iterator[Check]:
    if seen.builds.get(VLLM) and not seen.loopbacks and not seen.unconfined:
        yield Check(
            "network",
            "note",
            "vllm keeps this machine's: the kernel gives it none of its own",
            "allow user namespaces to whoever runs Stoker",
        )


def _gpus(seen: Symptoms) -> Iterator[Check]:
    found = [device for finding in seen.gpus for device in finding.devices]
    for finding in seen.gpus:
        for device in finding.devices:
            text = f"{device.name}: {binary_size(device.free)} of {binary_size(device.total)} free"
            yield Check(f"GPU {finding.kind}", "ok", text)
        if finding.advice or (finding.devices and finding.note):
            yield Check(f"GPU {finding.kind}", "problem", finding.note, finding.advice)
    if seen.devices:
        names = ", ".join(f"{device.id} ({device.name})" for device in seen.devices)
        yield Check("GPU in use", "ok", f"llama.cpp can use {names}")
    elif found:
        yield Check(
            "GPU in use",
            "problem",
            "llama.cpp was built without support for it and runs on the CPU",
            "stoker install-runner --backend llama.cpp --gpu auto",
        )
    else:
        yield Check("GPU in use", "note", "no GPU found: models run on the CPU")


def _processor(seen: Symptoms) -> Iterator[Check]:
    used = [name for name in _FEATURES if name in seen.features]
    text = f"{seen.processor or 'CPU'}, {seen.cores} cores"
    if seen.usable_cores:
        text += f", {seen.usable_cores} of them for Stoker (affinity or container limit)"
    slow = bool(seen.features) and not {"avx2", "asimd"} & seen.features
    yield Check(
        "CPU",
        "problem" if slow else "ok",
        f"{text}; {' '.join(used)}" if used else text,
        "without AVX2 models are slow here: take small ones" if slow else "",
    )


def _memory(seen: Symptoms) -> Iterator[Check]:
    text = f"{binary_size(seen.available)} of {binary_size(seen.memory)} available,"
    text += f" at most {binary_size(seen.budget)} for models"
    low = seen.available < seen.memory // 4
    yield Check(
        "memory",
        "problem" if low else "ok",
        text,
        "close other programs, or: a smaller quantization (Q4_K_M), a smaller --context-size"
        if low
        else "",
    )
    if seen.swap_used > _GIB:
        yield Check(
            "swap",
            "problem",
            f"{binary_size(seen.swap_used)} in use: a model that is swapped out is very slow",
            "stoker unload, or a smaller model",
        )
