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
from stoker.scheduler.events import RunRequest


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


def too_large(request: RunRequest, *, limit: int, others: int) -> DoesNotFit:
    """Even with nothing else of ours loaded. The planner knows what the whole machine holds."""
    held = f"; other programs hold {binary_size(others)}" if others else ""
    return DoesNotFit(
        f"{request.model.name} needs {binary_size(request.memory)} of the host, where"
        f" {binary_size(limit)} can be used now:"
        f" {binary_size(request.memory - limit)} are missing{held}",
        hint="free memory, take a smaller --context-size or a smaller quantization;"
        " stoker plan shows what takes how much",
    )


def kept_for_ever(request: RunRequest, pinned: Sequence[RunRequest], *, limit: int) -> Conflict:
    """Nothing that may be stopped would make enough room."""
    names = ", ".join(sorted(kept.model.name for kept in pinned))
    return Conflict(
        f"{request.model.name} needs about {binary_size(request.memory)}, and"
        f" {binary_size(sum(kept.memory for kept in pinned))} of"
        f" {binary_size(limit)} is held by models that are kept for ever: {names}",
        hint="stoker unload one of them, or give it a finite keep-alive",
    )
