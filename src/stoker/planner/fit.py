"""Where the parts of a model go, on which devices, with how much context. Pure.

In this order, the first that fits: everything on the fewest GPUs; with less context, when nobody
asked for a particular one; experts in host memory and the rest on GPUs; as many layers as fit on
GPUs; everything in host memory.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from stoker.base.errors import DoesNotFit
from stoker.base.units import binary_size
from stoker.formats.facts import ModelFacts
from stoker.planner.dealing import Share, dealt, on_device
from stoker.planner.devices import DeviceKind, Snapshot
from stoker.planner.estimate import Estimate, LayerBytes, estimate_llamacpp
from stoker.planner.options import Options
from stoker.planner.room import usable, usable_host
from stoker.planner.spec import Offload

MIN_CONTEXT: Final = 4096
"""Tokens; less is of little use for a conversation, and llama.cpp's own --fit stops here too."""


class GpuPolicy(StrEnum):
    """Whether a model may, must or must not use GPUs."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A model's place. Sizes in bytes, `context` in tokens."""

    context: int
    gpu_layers: int
    """From the last one backwards, the output head being the last: llama.cpp's `-ngl`."""
    host_experts: int
    """Layers whose experts stay in host memory, from the first one on: `--n-cpu-moe`."""
    shares: tuple[Share, ...]
    """In the order of the layers."""
    host_bytes: int
    estimate: Estimate

    @property
    def offload(self) -> Offload:
        """In the words an engine is told."""
        return Offload(
            tuple((share.device, share.layers) for share in self.shares), self.host_experts
        )

    @property
    def whole(self) -> bool:
        """Whether nothing that is computed lies in host memory."""
        return self.gpu_layers == len(self.estimate.layers) and not self.host_experts


def place(
    facts: ModelFacts,
    snapshot: Snapshot,
    *,
    options: Options | None = None,
    policy: GpuPolicy = GpuPolicy.PREFERRED,
) -> Placement:
    """The best placement. Raises DoesNotFit: it says what is missing where, and what would fit.

    `policy` REQUIRED wants all of the model on GPUs, or as many layers as `options` say. A number
    of layers is a wish for GPUs like any other where there are none, and an order where there are.
    """
    chosen = options or Options()
    search = _Search(facts, snapshot, chosen.devices)
    if chosen.gpu_layers and snapshot.devices and policy is GpuPolicy.PREFERRED:
        policy = GpuPolicy.REQUIRED
    if policy is not GpuPolicy.NEVER:
        for found in search.on_gpus(chosen, partly=policy is GpuPolicy.PREFERRED):
            return found
    if policy is not GpuPolicy.REQUIRED:
        for found in search.on_host(chosen):
            return found
    raise search.refusal(chosen, policy)


def shares(estimate: Estimate, offload: Offload) -> tuple[Share, ...]:
    """What each GPU has to hold when the model is divided so."""
    layers = _without(estimate.layers, offload.host_experts)[-offload.count :]
    copied = _copied(estimate, offload.count, offload.host_experts)
    found = []
    for number, (device, count) in enumerate(offload.layers):
        mine, layers = layers[:count], layers[count:]
        size = on_device(estimate, mine, first=number == 0, copied=copied)
        found.append(Share(device=device, layers=count, bytes=size))
    return tuple(found)


class _Search:
    def __init__(self, facts: ModelFacts, snapshot: Snapshot, allowed: Collection[str]) -> None:
        self._facts = facts
        self._snapshot = snapshot
        # Discrete ones first: what a shared one takes, the host loses.
        self._devices = sorted(
            (device for device in snapshot.devices if not allowed or device.id in allowed),
            key=lambda device: (device.kind is DeviceKind.SHARED, -usable(device), device.id),
        )
        self._estimates: dict[int | None, Estimate] = {}

    def on_gpus(self, options: Options, *, partly: bool) -> Iterator[Placement]:
        """Best first."""
        contexts = list(self._contexts(options))
        for smaller in contexts:
            estimate = self._estimate(smaller)
            layers, experts = _wanted(estimate, options)
            yield from self._placed(estimate, layers, host_experts=experts)
        if partly:
            estimate = self._estimate(contexts[-1])
            layers, experts = _wanted(estimate, options)
            if options.host_experts is None:
                yield from self._without_experts(estimate)
            for first in range(1, len(layers)):
                yield from self._placed(estimate, layers[first:], host_experts=experts)

    def on_host(self, options: Options) -> Iterator[Placement]:
        """Everything in host memory, with the largest context that fits first."""
        for smaller in self._contexts(options):
            estimate = self._estimate(smaller)
            if estimate.total_host_bytes <= usable_host(self._snapshot):
                yield Placement(
                    context=estimate.context,
                    gpu_layers=0,
                    host_experts=0,
                    shares=(),
                    host_bytes=estimate.total_host_bytes,
                    estimate=estimate,
                )

    def refusal(self, options: Options, policy: GpuPolicy) -> DoesNotFit:
        """Names where it was to go, what is missing there and what would fit."""
        required = policy is GpuPolicy.REQUIRED
        if required and not self._devices:
            return DoesNotFit(
                "a GPU is required and this machine has none",
                hint="--gpu preferred lets the CPU be used",
            )
        estimate = self._estimate(list(self._contexts(options))[-1])
        if required:
            names = ", ".join(device.id for device in self._devices)
            free = sum(usable(device) for device in self._devices)
            layers, experts = _wanted(estimate, options)
            copied = _copied(estimate, len(layers), experts)
            need = on_device(estimate, layers, first=True, copied=copied)
        else:
            names, free, need = "the host", usable_host(self._snapshot), estimate.total_host_bytes
        missing = max(need - free, 0)
        return DoesNotFit(
            f"with a context of {estimate.context} tokens the model needs {binary_size(need)} of"
            f" {names}, where {binary_size(free)} can be used: {binary_size(missing)} are missing",
            hint=self._advice(options, required=required),
        )

    def _advice(self, options: Options, *, required: bool) -> str:
        if required and any(self.on_host(options)):
            return "it fits in host memory: let a GPU be preferred instead of required"
        context = (options.context or 0) // 2
        while context >= MIN_CONTEXT:
            smaller = replace(options, context=context)
            tried = self.on_gpus(smaller, partly=False) if required else self.on_host(smaller)
            if any(tried):
                return f"it would fit with --context-size {context}"
            context //= 2
        if options.slots > 1 and not required:
            fewer = replace(options, slots=1, unified=True)
            if any(_Search(self._facts, self._snapshot, ()).on_host(fewer)):
                return "it would fit with --parallel 1"
        return "take a smaller or more quantized version of the model, or unload others"

    def _contexts(self, options: Options) -> Iterator[Options]:
        """The one asked for; else the trained maximum, halved down to MIN_CONTEXT."""
        if options.context:
            yield options
            return
        context = self._facts.context_size or MIN_CONTEXT
        while context > MIN_CONTEXT:
            yield replace(options, context=context)
            context //= 2
        yield replace(options, context=min(self._facts.context_size or MIN_CONTEXT, MIN_CONTEXT))

    def _estimate(self, options: Options) -> Estimate:
        if options.context not in self._estimates:
            self._estimates[options.context] = estimate_llamacpp(self._facts, options)
        return self._estimates[options.context]

    def _without_experts(self, estimate: Estimate) -> Iterator[Placement]:
        """With as few experts as possible in host memory, from the first layer on."""
        for moved in range(1, len(estimate.layers)):
            if not estimate.layers[moved - 1].experts:
                continue
            layers = _without(estimate.layers, moved)
            yield from self._placed(estimate, layers, host_experts=moved)

    def _placed(
        self, estimate: Estimate, layers: Sequence[LayerBytes], *, host_experts: int
    ) -> Iterator[Placement]:
        """These layers, the last of the model, on GPUs: on the fewest that hold them."""
        copied = _copied(estimate, len(layers), host_experts)
        for count in range(1, len(self._devices) + 1):
            devices = self._devices[:count]
            shares = dealt(estimate, layers, devices, copied=copied)
            if shares is None:
                continue
            placed = sum(layer.total for layer in layers)
            host = estimate.total_host_bytes - placed - estimate.extra_weights
            if not copied:
                host += estimate.fed_compute - estimate.compute
            kinds = {device.id: device.kind for device in devices}
            taken = sum(s.bytes for s in shares if kinds[s.device] is DeviceKind.SHARED)
            if host + taken <= usable_host(self._snapshot):
                yield Placement(
                    context=estimate.context,
                    gpu_layers=len(layers),
                    host_experts=host_experts,
                    shares=shares,
                    host_bytes=host,
                    estimate=estimate,
                )


def _wanted(estimate: Estimate, options: Options) -> tuple[Sequence[LayerBytes], int]:
    """What is to go to GPUs: as somebody told, else all. And how many leave their experts."""
    count = len(estimate.layers)
    experts = min(options.host_experts or 0, count - 1)
    wanted = count if options.gpu_layers is None else min(options.gpu_layers, count)
    return _without(estimate.layers, experts)[count - wanted :], experts


def _without(layers: Sequence[LayerBytes], experts: int) -> Sequence[LayerBytes]:
    """The layers, the first ones without their experts."""
    return [
        replace(layer, weights=layer.weights - layer.experts) if number < experts else layer
        for number, layer in enumerate(layers)
    ]


def _copied(estimate: Estimate, count: int, experts: int) -> int:
    """The largest tensor in host memory when `count` layers are on GPUs; 0 when all of them are."""
    here = estimate.layers[: max(len(estimate.layers) - count, experts)]
    return max((layer.largest or layer.weights for layer in here), default=0)
