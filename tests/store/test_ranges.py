from hypothesis import given
from hypothesis import strategies as st

from stoker.store.ranges import Ranges

SIZE = 40
_positions = st.integers(0, SIZE)


@given(st.lists(st.tuples(_positions, _positions)))
def test_ranges_are_a_set_of_positions(added: list[tuple[int, int]]) -> None:
    ranges = Ranges(added)
    model = {position for start, end in added for position in range(start, end)}
    here = [position for start, end in ranges for position in range(start, end)]
    assert here == sorted(model)
    assert ranges.count == len(model)
    assert ranges.prefix == next(i for i in range(SIZE + 1) if i not in model)
    assert ranges.has_holes == (len(model) > ranges.prefix)
    holes = [position for start, end in ranges.missing(SIZE) for position in range(start, end)]
    assert holes == [position for position in range(SIZE) if position not in model]
    assert list(ranges.clipped(7)) == list(Ranges((s, min(e, 7)) for s, e in added))


@given(st.lists(st.tuples(_positions, _positions)))
def test_ranges_are_sorted_and_do_not_touch(added: list[tuple[int, int]]) -> None:
    edges = [edge for held in Ranges(added) for edge in held]
    assert edges == sorted(set(edges))
