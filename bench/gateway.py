"""Streaming through Stoker ÷ straight to the same engine process."""

import asyncio
import json
import tempfile
from pathlib import Path

from tests.components.daemon import Daemon, running_daemon

from bench.streams import HEADER, Load, compare, rows
from bench.table import show

ROUNDS = 15
TOKENS = 200
STREAMS = (1, 8)
LOAD = Load(
    json.dumps(
        {
            "model": "pilot",
            "messages": [{"role": "user", "content": "count from 1 to 20"}],
            "max_tokens": TOKENS,
            "stream": True,
            "ignore_eos": True,
            "cache_prompt": False,
        }
    ).encode(),
    TOKENS,
)


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
    found = []
    for streams in STREAMS:
        stoker = daemon.home / "run" / "stoker.sock"
        pairs = await compare(engine, stoker, LOAD, streams=streams, rounds=ROUNDS)
        found += rows(streams, pairs, "≤ +1 ms")
    show(HEADER, found)
