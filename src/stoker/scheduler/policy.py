"""Which runners to give up so that another one fits. Pure, asked speculatively, changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from stoker.scheduler.events import RunnerKey


@dataclass(frozen=True, slots=True)
class Candidate:
    """An idle runner that may be stopped. `pinned`: kept for ever, given up only by `unload`."""

    key: RunnerKey
    memory: int
    idle_since: float
    pinned: bool


def victims(candidates: Sequence[Candidate], missing: int) -> tuple[RunnerKey, ...] | None:
    """The least recently used runners whose memory adds up to `missing` bytes.

    None when even all of them would not do; then nothing should be stopped.
    """
    chosen: list[RunnerKey] = []
    for candidate in sorted(candidates, key=lambda c: c.idle_since):
        if missing <= 0:
            break
        if candidate.pinned:
            continue
        chosen.append(candidate.key)
        missing -= candidate.memory
    return tuple(chosen) if missing <= 0 else None
