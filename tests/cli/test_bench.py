"""What `bench` makes of its measurements, and its plot."""

import pytest

from stoker.base.errors import QueueFull, StokerError
from stoker.cli.bars import bars
from stoker.cli.benchmark import Level, Sample
from stoker.cli.commands.bench import report
from tests.cli.conftest import Stoker
from tests.components.stub_daemon import Stub


def level(concurrency: int, *firsts: float, errors: int = 0) -> Level:
    """A level of two seconds; each answer has ten tokens and took one second."""
    samples = [Sample(10, first, 1.0) for first in firsts]
    failures: list[StokerError] = [QueueFull("the queue is full")] * errors
    return Level(concurrency, 2.0, samples, failures)


def test_figures() -> None:
    one = level(2, 0.3, 0.1, 0.2, 0.9)
    assert (one.tokens, one.tokens_per_second, one.requests_per_second) == (40, 20.0, 2.0)
    assert one.pace == 10.0
    assert one.first_token(0.5) == 0.2
    assert one.first_token(0.95) == 0.9


def test_nothing_measured_is_nought() -> None:
    none = Level(1)
    assert (none.tokens_per_second, none.pace, none.first_token(0.5)) == (0.0, 0.0, 0.0)


def test_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    lines = "\n".join(report([level(1, 0.1), level(8, 0.2, 0.2)])).splitlines()
    assert lines[:3] == [
        "CONCURRENCY  TOKENS/S  EACH  FIRST TOKEN  95 %    REQUESTS  TOKENS  ",
        "1            5.0       10.0  100 ms       100 ms  1         10      ",
        "8            10.0      10.0  200 ms       200 ms  2         20      ",
    ]
    assert lines[4:7] == [
        "Tokens per second, all requests together",
        "1 ███████████ 5.0",
        "8 ██████████████████████ 10.0",
    ]
    assert all(len(line) <= 30 for line in lines if "█" in line)


def test_failures_are_counted_and_explained() -> None:
    lines = "\n".join(report([level(1, 0.1), level(64, 0.2, errors=3)])).splitlines()
    assert lines[0].endswith("FAILED  ")
    assert lines[1].split()[-1] == "0"
    assert lines[2].split()[-1] == "3"
    assert lines[3] == "at 64: the queue is full"


def test_one_level_needs_no_plot() -> None:
    assert len([*report([level(1, 0.1)])]) == 2


def test_bars_are_drawn_in_eighths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "15")
    assert [*bars([("a", 8.0, "8"), ("bb", 3.5, "3.5"), ("c", 0.0, "0")])] == [
        " a ████████ 8",
        "bb ███▌ 3.5",
        " c  0",
    ]
    assert [*bars([])] == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--concurrency", "1,x"], "--concurrency needs numbers from 1 to 256, got '1,x'"),
        (["--concurrency", "1000"], "--concurrency needs numbers from 1 to 256"),
        (["--duration", "0"], "--duration must be a time like 10s, got '0'"),
        (["--duration", "soon"], "invalid duration 'soon'"),
        (["--timeout", "-1"], "--timeout must be a time like 10s, got '-1'"),
        (["--max-tokens", "0"], "--max-tokens must be at least 1, got 0"),
        (["--prompt", "x", "other"], "requires 1 argument(s)"),
    ],
)
def test_mistakes(stoker: Stoker, daemon: Stub, argv: list[str], words: str) -> None:
    outcome = stoker("bench", "smollm2", *argv)
    assert outcome.code in {1, 2}
    assert (outcome.out, daemon.chats()) == ("", [])
    assert words in outcome.err


def test_a_model_that_cannot_answer(stoker: Stoker, daemon: Stub) -> None:
    daemon.fail["/engines/v1/chat/completions"] = (500, "unable to load runner: no memory\n", {})
    outcome = stoker("bench", "smollm2")
    assert (outcome.code, outcome.out) == (1, "")
    assert "Failed to answer: unable to load runner: no memory" in outcome.err
