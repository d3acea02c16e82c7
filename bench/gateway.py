"""Streaming through Stoker ÷ straight to the same engine process."""

import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from tests.components.daemon import Daemon, running_daemon

from bench.table import show

ROUNDS = 15
TOKENS = 200
STREAMS = (1, 8)
BODY = json.dumps(
    {
        "model": "pilot",
        "messages": [{"role": "user", "content": "count from 1 to 20"}],
        "max_tokens": TOKENS,
        "stream": True,
        "ignore_eos": True,
        "cache_prompt": False,
    }
).encode()


@dataclass
class Sample:
    """One round: seconds to the first token (median of the streams), tokens a second in all."""

    first: float
    rate: float


def run() -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory() as home,
        running_daemon(Path(home), "--background") as daemon,
    ):
        daemon.cli("pull", "pilot")
        daemon.cli("run", "pilot", "hi")
        asyncio.run(_measure(daemon))


async def _measure(daemon: Daemon) -> None:
    engine = next((daemon.home / "run").glob("*/e.sock"))
    rows = []
    direct, through = _session(engine), _session(daemon.home / "run" / "stoker.sock")
    async with direct, through:
        for streams in STREAMS:
            pairs = []
            for _ in range(ROUNDS):
                straight = await _round(direct, "/v1/chat/completions", streams)
                pairs.append((straight, await _round(through, "/v1/chat/completions", streams)))
            rows += _rows(streams, pairs)
    show(["what", "direct", "through Stoker", "ratio", "goal"], rows)


def _rows(streams: int, pairs: list[tuple[Sample, Sample]]) -> list[list[str]]:
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
            "≤ +1 ms",
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
    return aiohttp.ClientSession(connector=connector)


async def _round(session: aiohttp.ClientSession, path: str, streams: int) -> Sample:
    began = time.perf_counter()
    firsts = await asyncio.gather(*(_stream(session, path) for _ in range(streams)))
    seconds = time.perf_counter() - began
    return Sample(statistics.median(firsts), streams * TOKENS / seconds)


async def _stream(session: aiohttp.ClientSession, path: str) -> float:
    """Seconds to the first byte of the answer's body."""
    began = time.perf_counter()
    first = 0.0
    headers = {"Content-Type": "application/json"}
    async with session.post(f"http://x{path}", data=BODY, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        async for _ in answer.content.iter_any():
            first = first or time.perf_counter() - began
    return first
