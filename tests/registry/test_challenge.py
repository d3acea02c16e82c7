"""WWW-Authenticate: what registries send, and anything else a peer may think of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.registry.challenge import Challenge, parse_challenges

BEARER = {
    "realm": "https://auth.docker.io/token",
    "service": "registry.docker.io",
    "scope": "repository:ai/smollm2:pull",
}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            (
                'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
                'scope="repository:ai/smollm2:pull"'
            ),
            [Challenge("bearer", BEARER)],
        ),
        ('Basic realm="a, \\"quoted\\" one"', [Challenge("basic", {"realm": 'a, "quoted" one'})]),
        ("Negotiate", [Challenge("negotiate")]),
        ("Negotiate YWJj==", [Challenge("negotiate")]),
        (
            'Negotiate YWJj==, Basic realm="x"',
            [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
        ),
        (
            'Basic realm="x", Bearer realm="y", service=z',
            [
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "y", "service": "z"}),
            ],
        ),
        # without quotes, as some registries have it
        (
            "Bearer realm=https://a.example/token,service=a.example",
            [Challenge("bearer", {"realm": "https://a.example/token", "service": "a.example"})],
        ),
        ('BEARER REALM = "x"', [Challenge("bearer", {"realm": "x"})]),
        ('Basic realm="a", realm="b"', [Challenge("basic", {"realm": "a"})]),
        ('Basic realm="never closed', [Challenge("basic")]),
        ("", []),
        (" , ,", []),
        ("\x00\xff", []),
    ],
)
def test_lines(line: str, wanted: list[Challenge]) -> None:
    assert list(parse_challenges([line])) == wanted


def test_several_headers_and_a_bound() -> None:
    assert [c.scheme for c in parse_challenges(["A", "B x=1", "C"])] == ["a", "b", "c"]
    assert len(parse_challenges(["A"] * 100)) == 8
    many = ", ".join(f'p{i}="v"' for i in range(100))
    assert len(parse_challenges([f"Bearer {many}"])[0].parameters) == 16


@given(st.lists(st.text(max_size=300), max_size=5))
def test_any_text_is_read_without_an_error(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower() != ""


_names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(_names, st.dictionaries(_names, _values, max_size=6))
def test_what_is_written_is_read(scheme: str, parameters: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    line = f"{scheme} " + ", ".join(f"{k}={quoted(v)}" for k, v in parameters.items())
    assert parse_challenges([line]) == (Challenge(scheme, parameters),)
