"""Who holds how much of which memory, and who is given up for it: values in, values out."""

from hypothesis import given
from hypothesis import strategies as st

from stoker.planner.devices import HOST, Device, DeviceKind
from stoker.planner.room import DEVICE_MARGIN
from stoker.planner.spec import Cost
from stoker.scheduler.events import RunnerKey
from stoker.scheduler.ledger import Ledger
from stoker.scheduler.policy import victims
from tests.scheduler.test_core import request

KEYS = [request(name).key for name in "abcdef"]
EMPTY = Ledger(budgets={HOST: 100})


def gpu(free: int, name: str = "G0", kind: DeviceKind = DeviceKind.DISCRETE) -> Device:
    """100 bytes may be planned with; `free` of them are."""
    return Device(id=name, kind=kind, total=DEVICE_MARGIN + 100, free=DEVICE_MARGIN + free)


def seen(
    ledger: Ledger, *devices: Device, steady: tuple[RunnerKey, ...] = (), moving: str = ""
) -> Ledger:
    return ledger.with_devices(devices, steady=steady, moving={moving})


def test_each_memory_has_its_own_limit() -> None:
    ledger = seen(EMPTY, gpu(100), gpu(70, "G1"))
    assert [ledger.limit(memory) for memory in (HOST, "G0", "G1", "G2")] == [100, 100, 70, 0]
    ledger = ledger.entered(KEYS[0], ledger.charges(Cost(10, devices={"G0": 60})))
    assert ledger.missing({"G0": 60, HOST: 10}) == {"G0": 20}
    assert ledger.missing({"G1": 60, HOST: 95}) == {HOST: 5}
    assert not ledger.lacking({"G0": 60, HOST: 10})
    assert ledger.lacking({"G0": 60, HOST: 10}, beside=[KEYS[0]]) == {"G0": 20}
    assert ledger.without(KEYS[0]).left("G0") == 100


def test_what_lies_on_a_shared_gpu_the_host_has_not() -> None:
    ledger = seen(EMPTY, gpu(100, kind=DeviceKind.SHARED))
    assert ledger.charges(Cost(10, devices={"G0": 60})) == {"G0": 60, HOST: 70}


def test_others_hold_what_is_neither_free_nor_ours() -> None:
    ledger = seen(EMPTY, gpu(100))
    ledger = ledger.entered(KEYS[0], {"G0": 50, HOST: 10})
    assert seen(ledger, gpu(20), steady=(KEYS[0],)).limit("G0") == 70
    # It took less than it is entered with: nobody else gets that.
    assert seen(ledger, gpu(60), steady=(KEYS[0],)).limit("G0") == 100
    assert ledger.with_room(30).limit(HOST) == 30
    assert ledger.with_room(300).limit(HOST) == 100


def test_a_context_of_our_own_process_is_not_taken_for_somebody_elses() -> None:
    ledger = seen(Ledger(budgets={HOST: 100}, overhead=15), gpu(100))
    ledger = ledger.entered(KEYS[0], {"G0": 50, HOST: 10})
    assert seen(ledger, gpu(40), steady=(KEYS[0],)).limit("G0") == 100
    assert seen(ledger, gpu(25), steady=(KEYS[0],)).limit("G0") == 90
    # Of somebody else's where ours is not.
    assert seen(ledger, gpu(85, "G1"), steady=(KEYS[0],)).limit("G1") == 85


def test_where_ours_come_and_go_others_are_only_believed_to_shrink() -> None:
    ledger = seen(EMPTY, gpu(60))
    assert seen(ledger, gpu(10), moving="G0").limit("G0") == 60
    assert seen(ledger, gpu(80), moving="G0").limit("G0") == 80
    assert seen(ledger, gpu(10)).limit("G0") == 10


def test_a_gpu_that_is_gone_has_no_room() -> None:
    ledger = seen(seen(EMPTY, gpu(100)))
    assert ledger.limit("G0") == 0
    assert ledger.lacking({"G0": 1, HOST: 1}) == {"G0": 1}


CHARGES = st.dictionaries(st.sampled_from([HOST, "G0", "G1"]), st.integers(0, 50), min_size=1)


@given(held=st.lists(CHARGES, max_size=6), missing=CHARGES)
def test_no_victim_could_be_spared_and_the_first_to_go_were_used_least(
    held: list[dict[str, int]], missing: dict[str, int]
) -> None:
    candidates = KEYS[: len(held)]
    holdings = dict(zip(candidates, held, strict=True))
    chosen = victims(candidates, holdings, missing)

    def enough(keys: list[RunnerKey]) -> bool:
        return all(
            sum(holdings[key].get(memory, 0) for key in keys) >= size
            for memory, size in missing.items()
        )

    if chosen is None:
        assert not enough(candidates)
        return
    assert enough(list(chosen))
    for spared in chosen:
        assert not enough([key for key in chosen if key != spared])
    # Up to the last one chosen, all of them together were needed to find one that does.
    last = max((candidates.index(key) for key in chosen), default=-1)
    assert not enough(candidates[: max(last, 0)]) or not chosen
