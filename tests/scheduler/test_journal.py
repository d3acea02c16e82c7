"""What is written down about decisions, and that it stays bounded."""

from stoker.base.errors import LaunchFailed
from stoker.scheduler import events as ev
from stoker.scheduler.events import Generation, Ticket
from stoker.scheduler.journal import Journal
from tests.scheduler.test_core import Driver, request


def test_decisions_and_their_reasons_are_kept_for_each_model() -> None:
    journal, driver = Journal(), Driver(budget=100)

    def tell(event: ev.Event) -> list[ev.Effect]:
        effects = driver.tell(event)
        journal.note(event, effects, driver.now)
        return effects

    first, second = request("a", memory=60), request("b", memory=60)
    (start,) = tell(ev.Requested(Ticket(1), first))
    assert isinstance(start, ev.Start)
    tell(ev.Started(first.key, start.generation))
    tell(ev.Released(Ticket(1)))
    (stop,) = tell(ev.Requested(Ticket(2), second))
    assert isinstance(stop, ev.Stop)
    (again,) = tell(ev.Exited(stop.key, stop.generation))
    assert isinstance(again, ev.Start)
    error = LaunchFailed("bad file", engine="llama.cpp")
    tell(ev.LaunchFailed(second.key, again.generation, error))
    mine = journal.of(first.key.model)
    assert [entry.what for entry in mine] == ["loading", "ready", "stopping", "gone"]
    assert "b needs its memory" in mine[2].why
    other = journal.of(second.key.model)
    assert [entry.what for entry in other] == ["loading", "failed to load", "refused"]
    assert other[1].why == "bad file"
    assert len(journal.of(None)) == 7


def test_the_journal_is_bounded() -> None:
    journal = Journal(most=10)
    for number in range(5000):
        wish = request(f"m{number}")
        asked = ev.Requested(Ticket(number), wish)
        journal.note(asked, [ev.Start(Generation(number), wish)], number)
        journal.note(ev.Released(Ticket(number)), [], number)
    assert len(journal.of(None)) == 10
    assert len(journal._names) <= 1001
    assert not journal._asked
