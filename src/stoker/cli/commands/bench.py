"""`bench`: how fast a model answers, one request at a time and several at once."""

import shutil
import sys
import time
from collections.abc import Iterator
from typing import Final

from stoker.base.units import parse_duration
from stoker.cli import parser as cli
from stoker.cli.bars import bars
from stoker.cli.benchmark import Benchmark, Level, Question
from stoker.cli.errors import INTERRUPTED, OK, UsageError, doing, say
from stoker.cli.output import put, put_json, table
from stoker.cli.session import Session
from stoker.cli.spinner import Spinner

PROMPT: Final = "Write a comprehensive 100 word summary on whales and their impact on society."
HEADER: Final = (
    "CONCURRENCY", "TOKENS/S", "EACH", "FIRST TOKEN", "95 %", "REQUESTS", "TOKENS",
)  # fmt: skip
# More at once than any engine serves on one machine, and one thread for each.
_MOST: Final = 256


class Options(cli.Options):
    prompt: str
    duration: str
    concurrency: str
    max_tokens: int
    timeout: str
    backend: str
    json: bool


def arguments(parser: cli.Parser) -> None:
    flag = parser.flag
    flag("--prompt", default=PROMPT, value="TEXT", help="what is asked")
    flag("--concurrency", default="1,2,4,8", value="N,N", help="requests at a time (1,2,4,8)")
    flag("--duration", default="10s", value="TIME", help="of each of these levels (10s)")
    flag("--max-tokens", kind=int, default=128, value="N", help="longest answer (128)")
    flag("--timeout", default="5m", value="TIME", help="longest silence of a request (5m)")
    flag("--backend", default="", value="NAME", help="engine to use: llama.cpp, vllm")
    parser.switch("--json", help="print the results as JSON, times in nanoseconds")
    parser.epilog = (
        "TOKENS/S is of all requests together, EACH of one, from asking to its end (median).\n"
        "FIRST TOKEN is how long that took: the median, and what 95 % of requests stayed below.\n"
        "Each request begins with a number of its own, so that no cache of prompts answers.\n"
        "Ctrl-C stops and shows what was measured."
    )


def run(options: Options, session: Session) -> int:
    levels = [Level(number) for number in _numbers(options.concurrency)]
    duration = _seconds("--duration", options.duration)
    silence = _seconds("--timeout", options.timeout)
    if options.max_tokens < 1:
        raise UsageError(f"--max-tokens must be at least 1, got {options.max_tokens}")
    model = options.words[0]
    client = session.client()
    with doing("Failed to inspect model"):
        client.inspect(model)
    question = Question(model, options.prompt, options.max_tokens, options.backend, silence)
    benchmark = Benchmark(client, question)
    code = OK
    try:
        with doing("Failed to answer"), Spinner(f"loading {model}"):
            benchmark.warm_up()
        for level in levels:
            _measure(benchmark, level, duration)
    except KeyboardInterrupt:
        code = INTERRUPTED
    measured = [level for level in levels if level.samples or level.errors]
    if options.json:
        put_json(_as_json(question, measured), indent=2)
    elif measured:
        put("".join(f"{line}\n" for line in report(measured)))
    # Not one answer is a failure; a few refusals at a high level are a result.
    if measured and not any(level.samples for level in measured):
        raise measured[0].errors[0]
    return code


def _measure(benchmark: Benchmark, level: Level, duration: float) -> None:
    began = time.monotonic()
    live = sys.stderr.isatty()

    def watch(level: Level) -> None:
        left = max(began + duration - time.monotonic(), 0)
        rate = f"{level.tokens_per_second:.0f} tokens/s" if level.samples else "..."
        text = f"{level.concurrency} at a time: {rate}, {left:.0f} s left"
        say(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="")

    if not live:
        say(f"Running benchmark with concurrency: {level.concurrency}")
    try:
        benchmark.run(level, duration, watch if live else lambda _: None)
    finally:
        if live:
            say("\r\x1b[K", end="")


def report(levels: list[Level]) -> Iterator[str]:
    """The table, and a plot of the two figures that matter."""
    failed = any(level.errors for level in levels)
    header = (*HEADER, "FAILED") if failed else HEADER
    rows = [[*_row(level), *([str(len(level.errors))] if failed else [])] for level in levels]
    yield from table(header, rows).splitlines()
    for level in levels:
        if level.errors:
            yield f"at {level.concurrency}: {level.errors[0].message}"
    good = [level for level in levels if level.samples]
    if len(good) < 2:
        return
    yield "\nTokens per second, all requests together"
    yield from bars(
        [(str(n.concurrency), n.tokens_per_second, f"{n.tokens_per_second:.1f}") for n in good]
    )
    yield "\nTime to the first token, median"
    yield from bars(
        [(str(n.concurrency), n.first_token(0.5), _time(n.first_token(0.5))) for n in good]
    )


def _row(level: Level) -> list[str]:
    return [
        str(level.concurrency),
        f"{level.tokens_per_second:.1f}",
        f"{level.pace:.1f}",
        _time(level.first_token(0.5)),
        _time(level.first_token(0.95)),
        str(len(level.samples)),
        str(level.tokens),
    ]


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _seconds(name: str, text: str) -> float:
    seconds = parse_duration(text)
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name} must be a time like 10s, got {text!r}")
    return seconds


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(1 <= number <= _MOST for number in numbers):
        raise UsageError(
            f"--concurrency needs numbers from 1 to {_MOST}, got {text!r}", hint="like 1,2,4,8"
        )
    return numbers


def _as_json(question: Question, levels: list[Level]) -> dict[str, object]:
    """Docker Model Runner's keys, in its order; ours are `Errors`, `FirstToken…` and `Pace`."""
    return {
        "model": question.model,
        "prompt": question.prompt,
        "results": [
            {
                "Concurrency": level.concurrency,
                "Errors": [error.message for error in level.errors],
                "FirstToken50": _nanoseconds(level.first_token(0.5)),
                "FirstToken95": _nanoseconds(level.first_token(0.95)),
                "MeanRPS": level.requests_per_second,
                "Pace": level.pace,
                "Requests": len(level.samples),
                "TPS": level.tokens_per_second,
                "TokenCounts": [sample.tokens for sample in level.samples],
                "TotalTime": _nanoseconds(level.seconds),
                "TotalTokens": level.tokens,
            }
            for level in levels
        ],
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
