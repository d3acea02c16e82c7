"""Streams through Stoker beside streams straight from the engine behind it, in turn."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

HEADER: Final = ["what", "direct", "through Stoker", "ratio", "goal"]
_PATH: Final = "/v1/chat/completions"


@dataclass(frozen=True)
class Load:
    """What each stream asks for: a JSON body, and how many tokens that gives."""

    body: bytes
    tokens: int


@dataclass(frozen=True)
class Sample:
    """One round: seconds to the first token (median of the streams), tokens a second in all."""

    first: float
    rate: float


async def compare(
    engine: Path, stoker: Path, load: Load, *, streams: int, rounds: int
) -> list[tuple[Sample, Sample]]:
    """So many rounds of so many streams at once, over the sockets of the two; direct first."""
    pairs = []
    async with _session(engine) as direct, _session(stoker) as through:
        for _ in range(rounds):
            straight = await _round(direct, load, streams)
            pairs.append((straight, await _round(through, load, streams)))
    return pairs


def rows(streams: int, pairs: list[tuple[Sample, Sample]], added_goal: str = "") -> list[list[str]]:
    """Medians of both sides, and of what each round's two have in proportion."""
    first = [statistics.median(s.first for s in side) for side in zip(*pairs, strict=True)]
    rate = [statistics.median(s.rate for s in side) for side in zip(*pairs, strict=True)]
    ratio = statistics.median(b.rate / a.rate for a, b in pairs)
    added = statistics.median(b.first - a.first for a, b in pairs)
    return [
        [
            f"first token, {streams} stream(s)",
            f"{first[0] * 1000:.2f} ms",
            f"{first[1] * 1000:.2f} ms",
            f"{added * 1000:+.2f} ms",
            added_goal,
        ],
        [
            f"tokens/s, {streams} stream(s)",
            f"{rate[0]:.0f}",
            f"{rate[1]:.0f}",
            f"{ratio:.3f}",
            "≥ 0.98",
        ],
    ]


def _session(socket: Path) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(path=str(socket), limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))


async def _round(session: aiohttp.ClientSession, load: Load, streams: int) -> Sample:
    began = time.perf_counter()
    firsts = await asyncio.gather(*(_stream(session, load.body) for _ in range(streams)))
    seconds = time.perf_counter() - began
    return Sample(statistics.median(firsts), streams * load.tokens / seconds)


async def _stream(session: aiohttp.ClientSession, body: bytes) -> float:
    """Seconds to the first byte of the answer's body."""
    began = time.perf_counter()
    first = 0.0
    headers = {"Content-Type": "application/json"}
    async with session.post(f"http://x{_PATH}", data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        async for _ in answer.content.iter_any():
            first = first or time.perf_counter() - began
    return first
