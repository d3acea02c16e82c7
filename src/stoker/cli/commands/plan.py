"""`plan`: what a model would take of this machine, before it is loaded."""

from collections.abc import Iterator
from typing import Final

from stoker.base.units import binary_size
from stoker.cli import parser as cli
from stoker.cli.commands.configure import context_size
from stoker.cli.errors import doing, printable
from stoker.cli.output import put, put_json
from stoker.cli.session import Session
from stoker.cli.transfer import hub_token
from stoker.wire.plan import Plan, PlanDevice, PlanPart

_WIDTH: Final = 40
"""Cells of a bar."""
_FILLS: Final = {"weights": "█", "cache": "▓", "compute": "▒", "compute and projector": "▒"}
_OTHER: Final = "░"
_TAKEN: Final = "·"
_VLLM: Final = "vllm"


class Options(cli.Options):
    context_size: int | None
    mode: str
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.flag("--context-size", kind=int, value="N", help="tokens; -1 for all it was trained for")
    parser.flag("--mode", default="", value="MODE", help="completion, embedding or reranking")
    parser.switch("--json", help="print what the API says")
    parser.epilog = (
        "Nothing is loaded. Of a model that is not on this machine only the header is read, where\n"
        "a pull would find it; so this says what a pull would cost, and whether it is worth it:\n"
        f"  {parser.program} plan hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M"
    )


def run(options: Options, session: Session) -> int:
    name = options.words[0]
    with doing(f"Failed to plan {name}"):
        plan = session.client().plan(
            name,
            context_size=context_size(options.context_size),
            mode=options.mode,
            token=hub_token(name),
        )
    if options.json:
        put_json(plan)
    else:
        put(printable("\n".join(lines(plan))) + "\n")
    return 0 if plan.fits and _fits_disk(plan) else 1


def lines(plan: Plan) -> Iterator[str]:
    """The map, line by line."""
    if not plan.fits:
        yield f"{plan.model} does not fit: {plan.problem}"
        if plan.hint:
            yield f"hint: {plan.hint}"
        yield from _download(plan)
        return
    yield f"{plan.model} takes {binary_size(plan.total)} with {plan.engine}{_counted(plan)}"
    yield from _download(plan)
    yield f"  context   {plan.context} tokens, {_shared(plan)}"
    where = "all on the CPU"
    if plan.gpu_layers == plan.layers:
        where = "all on GPUs"
    elif plan.gpu_layers:
        where = f"the last {plan.gpu_layers} on GPUs, the first on the CPU"
    yield f"  layers    {plan.layers}, {where}"
    yield from _speed(plan)
    if not plan.exact:
        yield f"  note      {_note(plan)}"
    for device in plan.devices:
        yield ""
        yield from _device(device)


def _counted(plan: Plan) -> str:
    """Whether that was measured, and what was computed where that is something else."""
    if plan.computed in (0, plan.total):
        return ""
    computed = binary_size(plan.computed)
    other = "" if computed == binary_size(plan.total) else f"; {computed} were computed"
    return f", as measured last time{other}"


def _shared(plan: Plan) -> str:
    if plan.engine == _VLLM:
        return f"with room for {plan.slots} conversation{'s' * (plan.slots != 1)} of that length"
    shared = f"shared by up to {plan.slots} requests"
    if 0 < plan.trained_context < plan.context:
        return f"{shared}; each can use {plan.trained_context}, all that the model was trained for"
    return shared


def _note(plan: Plan) -> str:
    if plan.engine == _VLLM:
        return "what vLLM takes beside weights and cache is a rule of thumb"
    return "compute buffers of this architecture are approximated"


def _fits_disk(plan: Plan) -> bool:
    return plan.download <= plan.disk_free or not plan.download


def _download(plan: Plan) -> Iterator[str]:
    if plan.download:
        size, free = binary_size(plan.download), binary_size(plan.disk_free)
        room = "" if _fits_disk(plan) else ": not enough"
        yield f"  download  {size}; {free} are free for models{room}"


def _speed(plan: Plan) -> Iterator[str]:
    said = []
    if plan.tokens_per_second:
        rate = _rate(plan.tokens_per_second)
        said.append(f"about {rate} tokens/s, by how fast this machine reads memory")
    if plan.measured_tokens_per_second:
        said.append(f"{_rate(plan.measured_tokens_per_second)} tokens/s measured last time")
    if said:
        yield f"  speed     {'; '.join(said)}"


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _device(device: PlanDevice) -> Iterator[str]:
    name = f"{device.id} ({device.name})" if device.name else device.id
    left = binary_size(max(device.free - device.bytes, 0))
    takes, free = binary_size(device.bytes), binary_size(device.free)
    yield f"{name}: {takes} of {free} that are free; {left} stay free"
    yield f"  [{_bar(device)}] {binary_size(device.total)}"
    for part in device.parts:
        yield f"  {_fill(part)} {part.name:<22}{binary_size(part.bytes):>10}{_measured(part)}"


def _measured(part: PlanPart) -> str:
    return "" if part.measured is None else f"   measured {binary_size(part.measured)}"


def _fill(part: PlanPart) -> str:
    return _FILLS.get(part.name, _OTHER)


def _bar(device: PlanDevice) -> str:
    """What others hold, then the parts of this model, then what stays free."""
    total = max(device.total, 1)
    bar, taken = "", max(device.total - device.free, 0)
    bar += _TAKEN * round(_WIDTH * taken / total)
    for part in device.parts:
        taken += part.bytes
        bar += _fill(part) * (round(_WIDTH * taken / total) - len(bar))
    return bar[:_WIDTH].ljust(_WIDTH)
