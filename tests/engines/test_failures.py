"""From an engine's last lines to a sentence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.spec import Reason
from tests.engines.failures import FAILURES


@pytest.mark.parametrize(("code", "lines", "reason", "text"), FAILURES)
def test_each_failure_has_its_reason(
    code: int | None, lines: list[str], reason: Reason, text: str
) -> None:
    found = LlamaCpp({}).diagnose(code, ["0.00.000.232 I srv  init: initializing ...", *lines])
    if lines:
        assert found.reason is reason
        assert text in found.message
        assert "\n" not in found.message
    else:
        assert LlamaCpp({}).diagnose(code, []).reason is reason


def test_a_signal_that_has_no_name() -> None:
    assert LlamaCpp({}).diagnose(-99, []).reason is Reason.CRASHED


@settings(deadline=None)
@given(st.none() | st.integers(-64, 255), st.lists(st.text()))
def test_there_is_always_an_answer(code: int | None, lines: list[str]) -> None:
    assert LlamaCpp({}).diagnose(code, lines).message
