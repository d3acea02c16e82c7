"""A daemon under mixed traffic for a while: what it holds must not grow.

    SOAK_MINUTES=60 python -m bench.soak

Whole answers and streams, streams that are left, bad requests, loads and unloads, an engine killed
now and then, pulls and removals. Twice a second memory, descriptors, threads and children of the
daemon are looked at; after a warm-up of a fifth of the time, the last quarter is compared with the
first; once a minute they are printed. Exits with 1 when something grew beyond its tolerance, or
when a request went unanswered.
"""

import asyncio
import contextlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp
import psutil
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.tiny_models import chat_model

from bench.table import show

_WARM_UP: Final = 0.2
_EVERY: Final = 0.5
_SAID_EVERY: Final = 60.0
_WITHIN: Final = 120.0
"""Seconds for any one request: more would be a request that is lost."""

_TOLERANCE: Final = {"MiB": 12.0, "descriptors": 8.0, "threads": 2.0, "children": 2.0}
"""By how much the median of the last quarter may exceed that of the first. Memory: an allocator
gives back late, and logs and histories have a size that they reach only after a while."""

_CHAT: Final = "/v1/chat/completions"
_HI: Final = [{"role": "user", "content": "What is Stoker?"}]


class Soak:
    """The traffic and what came of it."""

    def __init__(self, daemon: Daemon, session: aiohttp.ClientSession, files: Path) -> None:
        self._daemon = daemon
        self._session = session
        self._files = files
        self._random = random.Random(7)
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []

    async def client(self, until: float) -> None:
        """One request after the other, of a kind chosen at random."""
        kinds = (
            (self.whole, 30), (self.stream, 30), (self.leave, 15), (self.bad, 10),
            (self.manage, 20), (self.unload, 2), (self.crash, 1), (self.come_and_go, 2),
        )  # fmt: skip
        acts, weights = zip(*kinds, strict=True)
        while time.monotonic() < until:
            (act,) = self._random.choices(acts, weights)
            await self._one(act)

    async def _one(self, act: Callable[[], Awaitable[int]]) -> None:
        name = act.__name__
        try:
            async with asyncio.timeout(_WITHIN):
                status = await act()
            self.answers[f"{name} {status}"] += 1
        except TimeoutError:
            self.lost.append(f"{name}: no answer within {_WITHIN:g} s")
        except aiohttp.ClientError as error:
            # A stream whose engine was killed is cut on purpose: nobody may take it for whole.
            self.answers[f"{name} {type(error).__name__}"] += 1

    async def whole(self) -> int:
        return await self._post({"max_tokens": self._random.randrange(1, 40)})

    async def stream(self) -> int:
        return await self._post({"max_tokens": self._random.randrange(1, 80), "stream": True})

    async def leave(self) -> int:
        body = {"model": "test/endless", "messages": _HI, "stream": True}
        async with self._session.post(self._daemon.url + _CHAT, json=body) as answer:
            for _ in range(self._random.randrange(20)):
                await answer.content.readline()
            answer.close()
            return answer.status

    async def bad(self) -> int:
        bodies = (b"{", b'{"model": "no-such", "messages": []}', b'{"model": 7}', b"[" * 5000)
        data = self._random.choice(bodies)
        async with self._session.post(self._daemon.url + _CHAT, data=data) as answer:
            await answer.read()
            return answer.status

    async def manage(self) -> int:
        paths = ("/models", "/engines/ps", "/metrics", "/logs", "/why", "/doctor")
        async with self._session.get(self._daemon.url + self._random.choice(paths)) as answer:
            await answer.read()
            return answer.status

    async def unload(self) -> int:
        url = f"{self._daemon.url}/engines/unload"
        async with self._session.post(url, json={"all": True}) as answer:
            return answer.status

    async def crash(self) -> int:
        for pid in self._daemon.engine_pids()[:1]:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(pid, signal.SIGKILL)
        return 0

    async def come_and_go(self) -> int:
        """A model that is packaged, asked and removed; and the bundled one pulled once more."""
        name = f"test/guest{self._random.randrange(1_000_000)}"
        await asyncio.to_thread(self._put, name)
        await self._post({"model": name, "max_tokens": 2})
        url = f"{self._daemon.url}/models"
        async with self._session.post(f"{url}/create", json={"from": "pilot"}) as pulled:
            await pulled.read()
        async with self._session.delete(f"{url}/{name}?force=true") as gone:
            return gone.status

    def _put(self, name: str) -> None:
        path = chat_model(self._files / f"{name.rpartition('/')[2]}.gguf", title=name)
        put_model(self._daemon.home / "models", path, name)
        path.unlink()

    async def _post(self, more: dict[str, object]) -> int:
        body = {"model": "pilot", "messages": _HI, **more}
        async with self._session.post(self._daemon.url + _CHAT, json=body) as answer:
            await answer.read()
            return answer.status


def look(process: psutil.Process) -> dict[str, float]:
    """What the daemon holds now."""
    with process.oneshot():
        return {
            "MiB": process.memory_full_info().uss / 1024**2,
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
            "children": len(process.children(recursive=True)),
        }


def run(minutes: float) -> int:
    """Print what happened; the exit code."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        home, files = Path(folder, "home"), Path(folder, "files")
        home.mkdir()
        files.mkdir()
        with running_daemon(home) as daemon:
            pulled = daemon.cli("pull", "pilot")
            if pulled.returncode:
                sys.exit(pulled.stderr)
            put_model(home / "models", chat_model(files / "e.gguf"), "test/endless")
            soak, samples = asyncio.run(_soak(daemon, files, minutes * 60))
    return _report(soak, samples)


async def _soak(daemon: Daemon, files: Path, seconds: float) -> tuple[Soak, list[dict[str, float]]]:
    async with aiohttp.ClientSession() as session:
        soak = Soak(daemon, session, files)
        return soak, await _watch(soak, psutil.Process(daemon.process.pid), seconds)


async def _watch(soak: Soak, process: psutil.Process, seconds: float) -> list[dict[str, float]]:
    began = said = time.monotonic()
    samples = []
    async with asyncio.TaskGroup() as clients:
        for _ in range(4):
            clients.create_task(soak.client(began + seconds))
        while (gone := time.monotonic() - began) < seconds:
            await asyncio.sleep(_EVERY)
            seen = look(process)
            if gone > seconds * _WARM_UP:
                samples.append(seen)
            if time.monotonic() - said > _SAID_EVERY:
                said = time.monotonic()
                held = ", ".join(f"{value:.4g} {what}" for what, value in seen.items())
                requests = sum(soak.answers.values())
                print(f"{gone / 60:.0f} min: {requests} requests, {held}", flush=True)
    return samples


def _report(soak: Soak, samples: list[dict[str, float]]) -> int:
    quarter = max(len(samples) // 4, 1)
    rows, grown = [], []
    for what, tolerance in _TOLERANCE.items():
        values = [sample[what] for sample in samples]
        first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
        rows.append([what, f"{first:.1f}", f"{last:.1f}", f"{max(values):.1f}", f"+{tolerance:g}"])
        if last - first > tolerance:
            grown.append(what)
    print(f"{sum(soak.answers.values())} requests, {len(samples)} looks at the daemon\n")
    show(["", "first quarter", "last quarter", "most", "allowed"], rows)
    print()
    show(["answer", "times"], [[k, str(n)] for k, n in sorted(soak.answers.items())])
    for trouble in (*(f"{what} grew" for what in grown), *soak.lost):
        print(f"error: {trouble}", file=sys.stderr)
    return 1 if grown or soak.lost else 0


if __name__ == "__main__":
    sys.exit(run(float(os.environ.get("SOAK_MINUTES", "60"))))
