"""llama.cpp: the build that install-runner makes ÷ llama-server ÷ the wheel, tokens a second.

All three are the same version with the same flags. llama-server is compiled for this machine from
the same sources, with nothing of Stoker around it.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.installed import daemon_with_engines
from bench.native_server import ensure_llama_server
from bench.shapes import QUANTS, VOCABULARY, one_billion
from bench.table import show
from stoker.engines.builds import Builds
from stoker.engines.launcher import LocalLauncher
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_program import REQUIREMENT, Program
from stoker.oci.digest import Digest
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings

ROUNDS = 3
THREADS = int(os.environ.get("BENCH_THREADS", "0")) or None
"""Fewer than the machine's cores when something else keeps one of them busy: both wait for it."""
PROMPT = 256
TOKENS = 48
STREAMS = 8

Measure = Callable[["Server", int], Awaitable[float]]


@dataclass
class Server:
    """A running engine."""

    session: aiohttp.ClientSession

    async def complete(self, prompt: int, tokens: int, salt: int) -> dict[str, float]:
        """llama.cpp's own timings of one request with a prompt that it has not seen."""
        body = {
            "prompt": [(salt * 7919 + at * 31) % (VOCABULARY - 300) + 300 for at in range(prompt)],
            "n_predict": tokens,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        async with self.session.post("http://engine/completion", json=body) as response:
            answer = await response.json()
        timings: dict[str, float] = answer["timings"]
        return timings


async def prompt_rate(server: Server, salt: int) -> float:
    return (await server.complete(PROMPT, 1, salt))["prompt_per_second"]


async def one_stream(server: Server, salt: int) -> float:
    return (await server.complete(8, TOKENS, salt))["predicted_per_second"]


async def streams(server: Server, salt: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(server.complete(8, TOKENS, salt * 100 + at) for at in range(STREAMS)))
    return STREAMS * TOKENS / (time.perf_counter() - began)


WHAT: dict[str, Measure] = {
    f"prompt of {PROMPT}": prompt_rate,
    "1 stream": one_stream,
    f"{STREAMS} streams, sum": streams,
}


def run() -> None:
    """Print the table."""
    server = ensure_llama_server()
    rows = []
    with daemon_with_engines("llama.cpp") as daemon:
        build = Builds(daemon.home / "engines").usable("llama.cpp", REQUIREMENT)[0]
        programs = (
            Program("wheel"),
            Program("llama-server", llama_server=server),
            Program(build.manifest.variant, python=build.python),
        )
        for quant in QUANTS:
            with tempfile.TemporaryDirectory(prefix="sb-") as folder:
                model = one_billion(Path(folder) / "model.gguf", quant)
                spec = ModelSpec(
                    Digest("sha256:" + "b" * 64), "bench", Format.GGUF, model, model.stat().st_size
                )
                rows += asyncio.run(_compare(programs, spec, quant))
    names = [f"{program.source}, tok/s" for program in programs]
    ours = programs[-1].source
    show(
        ["1B shape", "what", *names, f"{ours} ÷ llama-server", "goal", f"{ours} ÷ wheel"],
        rows,
    )


async def _compare(programs: tuple[Program, ...], spec: ModelSpec, quant: str) -> list[list[str]]:
    flags = ("--parallel", str(STREAMS), "--cache-ram", "0")
    settings = RunSettings(context_size=8192, runtime_flags=flags)
    servers, instances = [], []
    try:
        for number, program in enumerate(programs):
            engine = LlamaCpp(program=program, threads=THREADS)
            # A folder of its own, which the launcher empties first.
            socket = spec.weights.parent / str(number) / "e.sock"
            command = engine.command(spec, Mode.COMPLETION, settings, socket)
            instances.append(
                await LocalLauncher(None).start(engine, command, label="bench", log=lambda _: None)
            )
            connector = aiohttp.UnixConnector(str(socket), limit=0)
            servers.append(Server(aiohttp.ClientSession(connector=connector)))
        return [[quant, what, *await _rounds(measure, servers)] for what, measure in WHAT.items()]
    finally:
        for server in servers:
            await server.session.close()
        for instance in instances:
            await instance.stop()


async def _rounds(measure: Measure, servers: list[Server]) -> list[str]:
    """The rates, and how many times as fast the last one is as the second and as the first."""
    samples: list[list[float]] = [[] for _ in servers]
    for number in range(ROUNDS + 1):
        for server, found in zip(servers, samples, strict=True):
            rate = await measure(server, number)
            if number:  # the first round warms up
                found.append(rate)
    *others, ours = samples
    to_wheel, to_native = (
        statistics.median(b / a for a, b in zip(other, ours, strict=True)) for other in others
    )
    rates = [f"{statistics.median(found):.1f}" for found in samples]
    return [*rates, f"{to_native:.2f}", "≥ 0.98", f"{to_wheel:.2f}"]


if __name__ == "__main__":
    run()
