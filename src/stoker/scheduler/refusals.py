"""What is said to requests that are turned away. Pure."""

from collections.abc import Sequence

from stoker.base.errors import (
    Conflict,
    DoesNotFit,
    Draining,
    QueueFull,
    WaitedTooLong,
)
from stoker.base.units import binary_size
from stoker.planner.devices import HOST
from stoker.scheduler.events import RunRequest
from stoker.scheduler.ledger import Charges, Ledger


def sizes(charges: Charges) -> str:
    """`2GiB of CUDA0 and 512MiB of the host`."""
    return " and ".join(
        f"{binary_size(size)} of {named(memory)}" for memory, size in charges.items()
    )


def named(memory: str) -> str:
    """A memory as sentences have it."""
    return "the host" if memory == HOST else memory


def draining() -> Draining:
    """The daemon is on its way out."""
    return Draining("the daemon is shutting down", hint="try again in a moment")


def queue_full(waiting: int) -> QueueFull:
    """One too many."""
    return QueueFull(
        f"{waiting} requests are waiting already",
        hint="try again later, or send fewer at once",
    )


def waited_too_long(request: RunRequest, seconds: float) -> WaitedTooLong:
    """Its deadline has come."""
    return WaitedTooLong(
        f"{request.model.name} could not be made ready within {seconds:.0f} s",
        hint="other models were busy, or its load takes long: stoker why says which",
    )


def too_large(
    request: RunRequest, charges: Charges, lacking: Charges, ledger: Ledger
) -> DoesNotFit:
    """Even with nothing else of ours loaded. The planner knows what the whole machine holds."""
    name = request.model.name
    memory, short = next(iter(lacking.items()))
    if memory not in ledger.budgets:
        return DoesNotFit(
            f"{name} was planned for {memory}, which is not there any more",
            hint="stoker doctor shows the GPUs; stoker configure --gpu preferred allows the CPU",
        )
    others = ledger.strangers.get(memory, 0)
    held = f"; other programs hold {binary_size(others)}" if others else ""
    return DoesNotFit(
        f"{name} needs {binary_size(charges[memory])} of {named(memory)}, where"
        f" {binary_size(ledger.limit(memory))} can be used now:"
        f" {binary_size(short)} are missing{held}",
        hint="free memory, take a smaller --context-size or a smaller quantization;"
        " stoker plan shows what takes how much",
    )


def kept_for_ever(
    request: RunRequest, charges: Charges, lacking: Charges, keepers: Sequence[str]
) -> Conflict:
    """Nothing that may be stopped would make enough room."""
    memory, short = next(iter(lacking.items()))
    return Conflict(
        f"{request.model.name} needs about {binary_size(charges[memory])} of {named(memory)}:"
        f" {binary_size(short)} are missing beside models that are kept for ever:"
        f" {', '.join(sorted(keepers))}",
        hint="stoker unload one of them, or give it a finite keep-alive",
    )
