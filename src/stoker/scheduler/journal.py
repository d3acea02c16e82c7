"""What the scheduler did and why, of late: a bounded record for `stoker why`."""

from collections import deque
from dataclasses import dataclass
from typing import Final, assert_never

from stoker.oci.digest import Digest
from stoker.planner.devices import HOST
from stoker.planner.spec import ModelSpec
from stoker.scheduler import events as ev
from stoker.scheduler.events import Effect, Event, RunRequest, Ticket
from stoker.scheduler.refusals import sizes

MOST: Final = 1000
"""Entries kept; some hundred bytes each."""

_News = tuple[Digest, str, str]
"""Of which model, what, why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`time` in seconds since 1970."""

    time: float
    model: Digest
    name: str
    what: str
    why: str = ""


class Journal:
    """Written by the scheduler's shell after each decision; pure bookkeeping, no I/O."""

    def __init__(self, most: int = MOST) -> None:
        self._entries: deque[Entry] = deque(maxlen=most)
        self._names: dict[Digest, str] = {}
        self._asked: dict[Ticket, RunRequest] = {}

    def of(self, model: Digest | None) -> tuple[Entry, ...]:
        """What happened to this model, oldest first; to all when None."""
        return tuple(e for e in self._entries if model is None or e.model == model)

    def note(self, event: Event, effects: list[Effect], time: float) -> None:
        """Enter what happened and what was decided. Grants and waiting are no news."""
        if isinstance(event, ev.Requested):
            self._asked[event.ticket] = event.request
            self._names[event.request.key.model] = event.request.model.name
        elif isinstance(event, ev.Released):
            self._asked.pop(event.ticket, None)
        else:
            self._enter(_happened(event), time)
        for effect in effects:
            if not isinstance(effect, ev.Grant):
                self._enter(self._decided(effect), time)

    def _enter(self, news: _News | None, time: float) -> None:
        if news:
            model, what, why = news
            self._entries.append(Entry(time, model, self._names.get(model, model), what, why))
        if len(self._names) > MOST:
            self._names = {e.model: e.name for e in self._entries}

    def refused(self, model: ModelSpec, why: str, time: float) -> None:
        """It did not come to a request: no machine like this one can ever run it so."""
        self._entries.append(Entry(time, model.id, model.name, "refused", why))

    def _decided(self, effect: ev.Start | ev.Stop | ev.Refuse) -> _News | None:
        match effect:
            case ev.Start():
                (way,) = effect.request.ways
                size = sizes({**way.cost.devices, HOST: way.cost.memory})
                sure = "" if way.cost.known else ", a guess"
                where = f"{way.words}: " if way.words else ""
                why = f"{where}needs {size}{sure}; {effect.reason}"
                return effect.request.key.model, "loading", why
            case ev.Stop():
                return effect.key.model, "stopping", effect.reason
            case ev.Refuse():
                asked = self._asked.get(effect.ticket)
                return (asked.key.model, "refused", effect.error.message) if asked else None
            case _:
                assert_never(effect)


def _happened(event: Event) -> _News | None:
    match event:
        case ev.Started():
            return event.key.model, "ready", f"{event.key.engine} answers"
        case ev.LaunchFailed():
            return event.key.model, "failed to load", event.error.message
        case ev.Died():
            return event.key.model, "died", "its process ended by itself"
        case ev.Exited():
            return event.key.model, "gone", "its process has ended"
        case _:
            return None
