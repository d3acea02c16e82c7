"""What an engine allocated, out of its log.

llama.cpp writes a line for each buffer on each device. vLLM's workers each say what they hold, on a
GPU of their own; of the host's memory it says nothing, so there its processes are looked at.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from stoker.planner.devices import HOST

_BUFFER: Final = re.compile(
    r" (\S+) +(model|KV|RS|compute|output) buffer size = +(\d{1,9}\.\d\d) MiB"
)
_RATE: Final = re.compile(
    r"\|\s+eval time =.*? / +(\d{1,9}) tokens \(.*?, +(\d{1,7}\.\d\d) tokens per second\)"
)
_TOKENS: Final = 16
"""Of an answer whose rate says something: the first token alone can take as long as ten others."""
_KINDS: Final = {
    "model": "weights",
    "KV": "cache",
    "RS": "cache",
    "compute": "compute",
    "output": "output",
}
_WORKER: Final = {
    "weights": re.compile(r"Model loading took (\d{1,6}(?:\.\d{1,4})?) GiB memory"),
    "cache": re.compile(r"(?:reserved|Available KV cache memory:) (\d{1,6}(?:\.\d{1,4})?) GiB"),
}
_HOST: Final = ("CPU", "BLAS", "AMX")
_OFFLOADED: Final = re.compile(r"load_tensors: offloaded (\d{1,6})/(\d{1,6}) layers to GPU")
_MIB: Final = 1024 * 1024
_GIB: Final = 1024 * _MIB
_MOST: Final = 256
"""Buffers of one engine; it logs some more for each request, and none of them is news."""


class Buffer(NamedTuple):
    """`device` as in a plan, `kind` one of weights, cache, compute, output; `size` in bytes."""

    device: str
    kind: str
    size: int


def read_buffer(line: str) -> Buffer | None:
    """The buffer that a line of the log is about."""
    found = _BUFFER.search(line)
    if found is None:
        return None
    return Buffer(device_of(found[1]), _KINDS[found[2]], round(float(found[3]) * _MIB))


def device_of(name: str) -> str:
    """`CUDA0` for `CUDA0` and `CUDA0_Private`; host for `CPU_Mapped`, `CUDA_Host` and `BLAS`."""
    if name.startswith(_HOST) or name.endswith("_Host"):
        return HOST
    return name.partition("_")[0]


def totals(buffers: Iterable[Buffer]) -> dict[str, dict[str, int]]:
    """Device to kind to bytes."""
    sums: dict[str, dict[str, int]] = {}
    for buffer in buffers:
        mine = sums.setdefault(buffer.device, {})
        mine[buffer.kind] = mine.get(buffer.kind, 0) + buffer.size
    return sums


def read_rate(line: str) -> float:
    """Tokens a second of an answer that a line of the log is about; 0 for every other line."""
    found = _RATE.search(line) if "eval time" in line else None
    if found is None or int(found[1]) < _TOKENS:
        return 0.0
    return float(found[2])


class BufferLog:
    """Collects the buffers of one load as its lines pass by, and how fast it answers. Bounded."""

    def __init__(self) -> None:
        self._found: list[Buffer] = []
        self.fastest = 0.0
        """Tokens a second of the fastest answer; one beside others is slower."""
        self.offloaded: tuple[int, int] | None = None
        """Layers on GPUs, and all there are with the output head; None before the log says so."""
        self.worker: dict[str, int] = {}
        """Bytes that vLLM's largest worker holds on its GPU, `weights` and `cache`."""
        self.resident = 0
        """Bytes of host memory of all its processes together; 0 where nobody looked."""

    def __call__(self, line: str) -> None:
        """Look at one line."""
        self.fastest = max(self.fastest, read_rate(line))
        if len(self._found) < _MOST and (buffer := read_buffer(line)):
            self._found.append(buffer)
        elif found := _OFFLOADED.search(line):
            self.offloaded = int(found[1]), int(found[2])
        elif "GiB" in line:
            self._read_worker(line)

    def _read_worker(self, line: str) -> None:
        for kind, pattern in _WORKER.items():
            if found := pattern.search(line):
                size = round(float(found[1]) * _GIB)
                self.worker[kind] = max(self.worker.get(kind, 0), size)

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """What was seen until now."""
        return totals(self._found)
