"""The one field that is rewritten, wherever the chunk borders fall."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stoker.gateway.rename import Rename

ANSWER = (
    b'{"choices":[{"delta":{"content":"say \\"model\\":\\"pilot\\" twice"}}],"model":"pilot","x":1}'
)
WANTED = ANSWER.replace(b',"model":"pilot",', b',"model":"docker.io/ai/pilot:latest",')


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12).map(sorted))
def test_only_the_field_changes_wherever_chunks_end(cuts: list[int]) -> None:
    rename = Rename("pilot", "docker.io/ai/pilot:latest")
    edges = [0, *cuts, len(ANSWER)]
    out = b"".join(rename.feed(ANSWER[a:b]) for a, b in pairwise(edges))
    assert out + rename.flush() == WANTED


@given(st.binary(max_size=200), st.integers(0, 200))
def test_other_bytes_pass_untouched(data: bytes, cut: int) -> None:
    rename = Rename("a-name-that-is-not-there", "b")
    assert rename.feed(data[:cut]) + rename.feed(data[cut:]) + rename.flush() == data
