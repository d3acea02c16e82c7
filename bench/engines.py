"""Both engines through Stoker ÷ bare: streams of vLLM, cold starts to the first token, a swap.

A bare engine is the same program with the same arguments, started by hand; llama.cpp's is
llama-server from the same sources, compiled for this machine.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon

from bench.bare import first_token, started
from bench.installed import daemon_with_engines
from bench.native_server import ensure_llama_server
from bench.shapes import one_billion
from bench.shapes_hf import hundred_million
from bench.streams import HEADER, Load, compare, rows
from bench.table import show
from stoker.oci.reference import parse_reference

STREAMS = {1: 7, 16: 5}
"""How many at once, and in how many rounds."""
TOKENS = 96
COLD_ROUNDS = {"llama.cpp": 15, "vllm": 2}
SWAP_ROUNDS = 7
SMALL, LARGE, SAFE = "bench/q4:1b", "bench/q8:1b", "bench/safetensors:100m"
BUDGET = 2_200_000_000
"""Bytes: for either of the two 1B models, not for both."""


@dataclass(frozen=True)
class Bare:
    """How the engine behind Stoker was started, to be repeated without it."""

    argv: tuple[str, ...]
    environ: dict[str, str]
    listens: Path
    model: str

    def cold(self) -> float:
        """Seconds from nothing to the first token."""
        began = time.perf_counter()
        with started(self.argv, self.environ, self.listens):
            first_token(self.listens, self.model)
            return time.perf_counter() - began

    def after(self, other: "Bare") -> float:
        """Seconds from another one that runs to this one's first token."""
        with started(other.argv, other.environ, other.listens):
            first_token(other.listens, other.model)
            began = time.perf_counter()
        with started(self.argv, self.environ, self.listens):
            first_token(self.listens, self.model)
            return time.perf_counter() - began


def run() -> None:
    """Print the tables."""
    server = ensure_llama_server()
    with daemon_with_engines("llama.cpp", "vllm", STOKER_MEMORY_BUDGET=str(BUDGET)) as daemon:
        _fill(daemon)
        found = []
        small = _bare(daemon, "pilot", server)
        found.append(_cold(daemon, small, "llama.cpp", "pilot, 6 MB"))
        a, b = (_bare(daemon, name, server) for name in (LARGE, SMALL))
        found.append(_cold(daemon, b, "llama.cpp", "1B shape, Q4_0"))
        found.append(_cold(daemon, a, "llama.cpp", "1B shape, Q8_0"))
        found.append(_swap(daemon, a, b))
        daemon.cli("unload", "--all")
        safe = _bare(daemon, SAFE)
        streams = asyncio.run(_streams(daemon))
        found.append(_cold(daemon, safe, "vllm", "100M shape"))
    show(["vLLM", *HEADER[1:]], streams)
    print()
    show(["to the first token", "bare", "through Stoker", "added", "ratio", "goal"], found)


def _fill(daemon: Daemon) -> None:
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        for name, quant in ((SMALL, "Q4_0"), (LARGE, "Q8_0")):
            path = one_billion(Path(folder) / "model.gguf", quant)
            put_model(daemon.home / "models", path, str(parse_reference(name)))
            path.unlink()
        safe = hundred_million(Path(folder) / "safe")
        _check(daemon, "package", "--safetensors", str(safe), SAFE)
    _check(daemon, "pull", "pilot")
    # Compiling saves time over thousands of tokens; here it would only be waited for.
    _check(daemon, "configure", SAFE, "--", "--enforce-eager")


def _bare(daemon: Daemon, model: str, server: Path | None = None) -> Bare:
    """Has Stoker load the model and looks at what it started."""
    first_token(_stoker(daemon), model)
    listed = json.loads(daemon.cli("ps", "--json").stdout)
    process = psutil.Process(next(row["pid"] for row in listed if row["model_name"] == model))
    argv = process.cmdline()
    flag = argv.index("--uds" if server is None else "--host")
    listens = daemon.home / f"bare-{process.pid}.sock"
    argv[flag + 1] = str(listens)
    if server is not None:
        argv = [str(server), *argv[argv.index("--model") :]]
    return Bare(tuple(argv), process.environ(), listens, model)


def _cold(daemon: Daemon, bare: Bare, engine: str, what: str) -> list[str]:
    def through() -> float:
        began = time.perf_counter()
        first_token(_stoker(daemon), bare.model)
        return time.perf_counter() - began

    def nothing_loaded() -> None:
        _check(daemon, "unload", "--all")

    pairs = _pairs(COLD_ROUNDS[engine], nothing_loaded, bare.cold, through)
    return _row(f"{engine} cold, {what}", pairs)


def _swap(daemon: Daemon, a: Bare, b: Bare) -> list[str]:
    def through() -> float:
        first_token(_stoker(daemon), a.model)
        began = time.perf_counter()
        first_token(_stoker(daemon), b.model)
        return time.perf_counter() - began

    def nothing_loaded() -> None:
        _check(daemon, "unload", "--all")

    pairs = _pairs(SWAP_ROUNDS, nothing_loaded, lambda: b.after(a), through)
    return _row("llama.cpp swap, 1B Q8_0 to Q4_0", pairs)


def _pairs(
    rounds: int, prepare: Callable[[], None], *measures: Callable[[], float]
) -> list[tuple[float, ...]]:
    pairs = []
    for _ in range(rounds + 1):
        pair = []
        for measure in measures:
            prepare()
            pair.append(measure())
        pairs.append(tuple(pair))
    return pairs[1:]  # the first round warms up


def _row(what: str, pairs: list[tuple[float, ...]]) -> list[str]:
    bare, through = (statistics.median(side) for side in zip(*pairs, strict=True))
    added = statistics.median(b - a for a, b in pairs)
    ratio = statistics.median(b / a for a, b in pairs)
    return [
        what,
        f"{bare:.3f} s",
        f"{through:.3f} s",
        f"{added * 1000:+.0f} ms",
        f"{ratio:.2f}",
        "≤ 1.1",
    ]


async def _streams(daemon: Daemon) -> list[list[str]]:
    body = {
        "model": SAFE,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": TOKENS,
        "stream": True,
        "ignore_eos": True,
    }
    load = Load(json.dumps(body).encode(), TOKENS)
    (engine,) = (daemon.home / "run").glob("*/e.sock")
    found = []
    for streams, rounds in STREAMS.items():
        await compare(engine, _stoker(daemon), load, streams=streams, rounds=1)  # warms up
        pairs = await compare(engine, _stoker(daemon), load, streams=streams, rounds=rounds)
        found += rows(streams, pairs)
    return found


def _stoker(daemon: Daemon) -> Path:
    return daemon.home / "run" / "stoker.sock"


def _check(daemon: Daemon, *command: str) -> None:
    done = daemon.cli(*command, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr)


if __name__ == "__main__":
    run()
