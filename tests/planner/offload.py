"""Models divided between a GPU and the CPU: what is planned for each, and what each then takes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from stoker.engines.llamacpp_options import offload_arguments
from stoker.planner.devices import Device, Snapshot
from stoker.planner.fit import GpuPolicy, Placement, place
from stoker.planner.options import Options
from tests.planner import shapes
from tests.planner.cases import MIB, ONE, SMALL, WIDE, flags_of, read_facts
from tests.planner.engine import Measured, measure
from tests.planner.shapes import Shape

GPU = "Vulkan0"


class Pair(NamedTuple):
    """MiB."""

    planned: float
    taken: float


@dataclass(frozen=True)
class Row:
    """A model, how it is run, and how much of it is on the GPU: all that fits when None."""

    shape: Shape
    options: Options = ONE
    layers: int | None = None
    experts: int | None = None
    """Layers whose experts stay in host memory."""

    @property
    def divided(self) -> bool:
        return bool(self.layers or self.experts)

    @property
    def label(self) -> str:
        words = [self.shape.name, "all layers" if self.layers is None else f"{self.layers} layers"]
        words += [f"{self.experts} without experts"] if self.experts else []
        words += [f"{self.options.keys} cache"] if self.options.keys != "f16" else []
        words += [] if self.options.flash_attention else ["no flash attention"]
        return ", ".join(words)


@dataclass(frozen=True)
class Outcome:
    """`pairs`: weights, cache and compute of the GPU, compute of the host. All in MiB."""

    pairs: tuple[Pair, Pair, Pair, Pair]
    on_gpu: float
    """What is planned for the GPU in all."""
    margin: float
    """What of that the compute buffer may take beyond its own plan."""


DENSE = shapes.dense("llama", replace(WIDE, layers=8, width=1024, feed_forward=4096))
GEMMA = shapes.gemma("gemma3", replace(SMALL, layers=7), 512)
MIXED = shapes.experts("mixtral", replace(SMALL, layers=6), 8, 2, 512)
HALF_CACHE = replace(ONE, keys="q8_0", values="q8_0")
ROWS = (
    Row(DENSE, layers=0), Row(DENSE, layers=1), Row(DENSE, layers=4), Row(DENSE, layers=8),
    Row(DENSE), Row(DENSE, HALF_CACHE), Row(DENSE, HALF_CACHE, layers=4),
    Row(DENSE, replace(ONE, flash_attention=False)),
    Row(GEMMA), Row(GEMMA, layers=3),
    Row(MIXED), Row(MIXED, experts=2), Row(MIXED, experts=6), Row(MIXED, layers=3),
)  # fmt: skip


def try_row(row: Row, folder: Path, python: str, environ: Mapping[str, str]) -> Outcome:
    """Plan, then load with the build of this interpreter, as the engine would be told to."""
    path = shapes.write(row.shape, folder)
    plan = _planned(row, path)
    told = (*flags_of(row.options), *offload_arguments(plan.offload))
    # All is allocated by then; what follows compiles shaders, for a minute on a busy machine.
    taken = measure(path, *told, python=python, environ=environ, until="llama threadpool init")
    path.unlink()
    return _compared(plan, taken)


def _planned(row: Row, path: Path) -> Placement:
    card = Device(id=GPU, total=2048 * MIB, free=2048 * MIB)
    machine = Snapshot(host_total=8192 * MIB, host_free=8192 * MIB, devices=(card,))
    options = replace(row.options, gpu_layers=row.layers, host_experts=row.experts)
    policy = GpuPolicy.NEVER if row.layers == 0 else GpuPolicy.PREFERRED
    return place(read_facts(path), machine, options=options, policy=policy)


def _compared(plan: Placement, taken: Measured) -> Outcome:
    estimate, count = plan.estimate, len(plan.estimate.layers)
    mine = range(count - plan.gpu_layers, count)
    weights = sum(estimate.layers[n].weights + estimate.layers[n].copied for n in mine)
    weights -= sum(estimate.layers[n].experts for n in mine if n < plan.host_experts)
    cache = sum(estimate.layers[n].cache for n in mine)
    compute = estimate.gpu_compute if plan.gpu_layers else 0
    on_gpu = sum(share.bytes for share in plan.shares)
    host = estimate.fed_compute if plan.gpu_layers else estimate.compute
    gpu_taken = taken.compute.get(GPU, 0.0)
    pairs = (
        Pair(weights / MIB, taken.model.get(GPU, 0.0)),
        Pair(cache / MIB, taken.cache.get(GPU, 0.0)),
        Pair(compute / MIB, gpu_taken),
        Pair(host / MIB, taken.total("compute") - gpu_taken),
    )
    return Outcome(pairs, on_gpu / MIB, (on_gpu - weights - cache - compute) / MIB)
