"""The records that travel from the library through the scheduler to an engine. Frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stoker.oci.digest import Digest

FOREVER: Final = float("inf")
DEFAULT_KEEP_ALIVE: Final = 300.0
"""Seconds an idle model stays loaded, as in Docker Model Runner."""


class Format(StrEnum):
    """How the weights are stored."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    DDUF = "dduf"


class Mode(StrEnum):
    """What a runner was started for; one engine process serves one mode."""

    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANKING = "reranking"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model ready to be run: everything the scheduler and an engine may ask about it.

    `weights` is the first GGUF shard, or the directory that holds the safetensors and their
    config.json; it lies in a view of hard links, so that it has its human name. Sizes in bytes.
    """

    id: Digest
    name: str
    format: Format
    weights: Path
    weights_size: int
    mmproj: Path | None = None
    mmproj_size: int = 0
    chat_template: Path | None = None
    context_size: int | None = None
    architecture: str = ""
    code: bool = False
    """It brings Python files of its own."""
    trusted: bool = False
    """They lie among its files, and may be run: somebody has consented to its digest."""

    def named(self, name: str) -> "ModelSpec":
        """The same model under another of its names."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True)
class Offload:
    """What of a model goes to which GPUs; empty: nothing, although there are GPUs."""

    layers: tuple[tuple[str, int], ...] = ()
    """Device, as the engine names it, and how many layers it gets; from the last layer of the model
    backwards, the output head being the last. Devices in the order of the layers."""
    host_experts: int = 0
    """Layers whose experts stay in host memory, from the model's first one on."""

    @property
    def count(self) -> int:
        """Of layers on GPUs."""
        return sum(layers for _, layers in self.layers)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a model is run; what `configure` sets. None means: not set, the engine's default."""

    context_size: int | None = None
    keep_alive: float | None = None
    runtime_flags: tuple[str, ...] = ()
    reasoning_budget: int | None = None
    hf_overrides: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    gpu_memory_utilization: float | None = None
    offload: Offload | None = None
    """Not set by `configure`, but by the plan; None where the engine sees no GPU."""
    cache_bytes: int | None = None
    """For keys and values, on each device; by the plan too, for engines that must be told."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a runner takes, in bytes: `memory` of the host, `devices` of GPUs by their ids.

    `known`: computed of the model's header, so that what exceeds the machine need not be tried.
    """

    memory: int
    known: bool = False
    devices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a model: with these settings it costs this. `words` say it to people.

    Ways of the same `rank` are equally good, those of a higher one less.
    """

    settings: RunSettings
    cost: Cost
    words: str = ""
    rank: int = 0
