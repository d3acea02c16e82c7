"""What a transfer tells about itself: frozen records, in bytes, never a format."""

from collections.abc import Callable
from dataclasses import dataclass

from stoker.oci.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class Started:
    """A blob begins; `held` bytes of it are here from an earlier attempt."""

    descriptor: Descriptor
    held: int


@dataclass(frozen=True, slots=True)
class Moved:
    """`held` bytes of a blob are here now."""

    descriptor: Descriptor
    held: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """The blob was there already."""

    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class Retrying:
    """The stream broke (`reason`, one line); it is taken up again in `pause` seconds."""

    descriptor: Descriptor
    reason: str
    pause: float


@dataclass(frozen=True, slots=True)
class Done:
    """The blob is verified and published."""

    descriptor: Descriptor


Progress = Started | Moved | Skipped | Retrying | Done
Notify = Callable[[Progress], None]
"""Called on the event loop, for every chunk: it must not block."""


def ignore(_: Progress) -> None:
    """Nobody listens."""
