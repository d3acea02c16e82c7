"""Any schedule of faults: the copy arrives whole or fails, and never corrupts the store."""

import asyncio
import contextlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.base.errors import StokerError
from stoker.store import Store
from stoker.transfer import Cut, Patience, copy
from tests.components.memory_content import Fault, FaultySource, Happening
from tests.components.places import quick_directory
from tests.store.models import Model, model

LAYERS = (bytes(range(256)) * 40, b"small", bytes(7000))
NAME = "docker.io/ai/pilot:latest"

happenings = st.lists(
    st.builds(
        Happening,
        st.sampled_from(Fault),
        st.floats(0, 1, allow_nan=False).map(lambda number: round(number, 2)),
    ),
    max_size=12,
)
cuts = st.builds(
    Cut, from_size=st.sampled_from([5000, 1 << 40]), piece=st.integers(1000, 6000),
    batch=st.sampled_from([1, 1500]),
)  # fmt: skip


@given(rounds=st.lists(happenings, min_size=1, max_size=4), cut=cuts, streams=st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_a_copy_arrives_whole_or_fails(
    rounds: list[list[Happening]], cut: Cut, streams: int
) -> None:
    with quick_directory() as directory:
        asyncio.run(_rounds(directory / "models", model(*LAYERS), rounds, cut, streams))


async def _rounds(
    root: Path, pilot: Model, rounds: list[list[Happening]], cut: Cut, streams: int
) -> None:
    patience = Patience(attempts=2, base=0.0)
    for schedule in [*rounds, [], []]:
        # A new Store each time, as after a restart of the program.
        store = Store.open(root)
        source = FaultySource(pilot.content, iter(schedule))
        with contextlib.suppress(StokerError):
            await copy(
                source, store.blobs, pilot.descriptor,
                cut=cut, concurrency=streams, patience=patience,
            )  # fmt: skip
            store.tag(NAME, pilot.descriptor)
        # Whatever is visible is right.
        assert store.fsck(deep=True).problems == ()
    # Two rounds without faults: one may find wrong bytes of an earlier round, the next is clean.
    assert [entry.names for entry in Store.open(root).entries()] == [(NAME,)]
