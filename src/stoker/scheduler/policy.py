"""Which runners to give up so that another one fits. Pure, asked speculatively, changes nothing."""

from collections.abc import Mapping, Sequence

from stoker.scheduler.events import RunnerKey
from stoker.scheduler.ledger import Charges


def victims(
    candidates: Sequence[RunnerKey], held: Mapping[RunnerKey, Charges], missing: Charges
) -> tuple[RunnerKey, ...] | None:
    """The least recently used runners that hold what is missing, where it is missing.

    `candidates` come least recently used first. None of the chosen could be spared. None when even
    all of them would not do; then nothing should be stopped.
    """
    short = dict(missing)
    chosen = []
    for key in candidates:
        if not any(size > 0 for size in short.values()):
            break
        mine = held[key]
        if any(size > 0 and mine.get(memory, 0) for memory, size in short.items()):
            chosen.append(key)
            _move(short, mine, -1)
    if any(size > 0 for size in short.values()):
        return None
    # A small one may have been taken before a large one that would have done alone.
    for key in reversed(chosen[:-1]):
        _move(short, held[key], 1)
        if any(size > 0 for size in short.values()):
            _move(short, held[key], -1)
        else:
            chosen.remove(key)
    return tuple(chosen)


def _move(short: dict[str, int], charges: Charges, sign: int) -> None:
    for memory in short:
        short[memory] += sign * charges.get(memory, 0)
