"""A gateway under full load: Stoker ÷ the least an aiohttp proxy can do ÷ litellm's proxy.

Behind all three the same stand-in for an engine, which costs nothing (`fast_engine.py`). The
gateway has one core, engine and clients the other one. Needs Linux and Debian's wrk: it is fetched.
"""

import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.components.client_packages import ensure_litellm_proxy
from tests.components.daemon import free_port, running_daemon
from tests.components.debian import ensure_debian_parts, library_path

from bench.table import show

ROUNDS = 5
SECONDS = 4
CONNECTIONS = 32
STREAMS = 8
EVENTS = 20_000
LITELLM_EVENTS = 200
IDLE = 1000
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Gateway:
    """One that listens on `port`; `events` of a flood are what it does in about a second."""

    name: str
    port: int
    path: str
    events: int


def run() -> None:
    """Print the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = folder / "engine"
        engine.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "fast_engine.py"} "$@"\n')
        engine.chmod(0o755)
        home = folder / "home"
        home.mkdir()
        # Unconfined: the stand-in is a script and reads this folder.
        variables = {"LLAMA_SERVER_PATH": str(engine), "STOKER_CONFINE_ENGINES": "no"}
        daemon = stack.enter_context(running_daemon(home, "--background", **variables))
        daemon.cli("pull", "pilot")
        daemon.cli("run", "pilot", "hi")
        stoker = Gateway("Stoker", daemon.port, "/engines/v1/chat/completions", EVENTS)
        socket_path = next((home / "run").glob("*/e.sock"))
        _pin(daemon.process.pid, gateway=True)
        for pid in daemon.engine_pids():
            _pin(pid, gateway=False)
        gateways = [
            stack.enter_context(_plain(socket_path)),
            stoker,
            stack.enter_context(_litellm(engine, folder)),
        ]
        requests = _rounds(lambda one: _requests(one, folder), gateways)
        floods = _rounds(_flood, gateways)
        show(
            ["what", *(one.name for one in gateways), "÷ plain", "goal", "÷ litellm", "goal"],
            [
                _row(f"requests/s, {CONNECTIONS} connections", requests),
                _row(f"events/s, {STREAMS} streams", floods),
            ],
        )
        rows = [["resident memory", *_idle(stoker, daemon.process.pid)]]
        show(["what", "idle", f"with {IDLE} streams", "more for each", "goal"], rows)


def _row(what: str, samples: Sequence[Sequence[float]]) -> list[str]:
    plain, stoker, litellm = (statistics.median(one) for one in samples)
    to_plain = statistics.median(b / a for a, b in zip(samples[0], samples[1], strict=True))
    rates = [f"{rate:,.0f}" for rate in (plain, stoker, litellm)]
    return [what, *rates, f"{to_plain:.2f}", "≥ 0.9", f"{stoker / litellm:.0f}", "≥ 10"]


def _rounds(measure: Callable[[Gateway], float], gateways: Sequence[Gateway]) -> list[list[float]]:
    samples: list[list[float]] = [[] for _ in gateways]
    for number in range(ROUNDS + 1):
        for gateway, found in zip(gateways, samples, strict=True):
            rate = measure(gateway)
            if number:  # the first round warms up
                found.append(rate)
    return samples


def _body(content: str, *, stream: bool) -> str:
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "pilot", "messages": messages, "stream": stream})


def _requests(gateway: Gateway, folder: Path) -> float:
    """Requests a second."""
    parts = ensure_debian_parts("wrk", ["wrk"], "usr/bin/wrk", libraries=True)
    script = folder / "wrk.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [==[{_body('hi', stream=False)}]==]\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    done = subprocess.run(
        [
            parts / "usr/bin/wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s",
            "--timeout", "60s", "-s", script,
            f"http://127.0.0.1:{gateway.port}{gateway.path}",
        ],
        env={**os.environ, "LD_LIBRARY_PATH": library_path(parts)},
        preexec_fn=lambda: os.sched_setaffinity(0, {_cores()[1]}),
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{gateway.name} failed under load:\n{done.stdout}")
    found = re.search(r"Requests/sec: +([\d.]+)", done.stdout)
    if not found:
        raise RuntimeError(done.stdout)
    return float(found[1])


def _flood(gateway: Gateway) -> float:
    """Events a second, over all streams."""
    threads = [
        threading.Thread(target=_read_stream, args=(gateway, gateway.events))
        for _ in range(STREAMS)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return STREAMS * gateway.events / (time.perf_counter() - began)


def _read_stream(gateway: Gateway, events: int) -> None:
    tail = b""
    with closing(_ask(gateway, f"flood {events}")) as client:
        while not tail.endswith(b"0\r\n\r\n"):
            data = client.recv(1 << 18)
            if not data:
                raise RuntimeError(f"{gateway.name} ended a stream early")
            tail = (tail + data)[-16:]


def _ask(gateway: Gateway, content: str) -> socket.socket:
    body = _body(content, stream=True)
    client = socket.create_connection(("127.0.0.1", gateway.port))
    client.sendall(
        f"POST {gateway.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return client


def _idle(gateway: Gateway, pid: int) -> list[str]:
    """What the daemon weighs before, and while many streams wait for their next word."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4 * IDLE), most))
    process = psutil.Process(pid)
    before = process.memory_info().rss
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(_ask(gateway, "idle"))) for _ in range(IDLE)]
        for client in clients:
            head = client.recv(4096)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an idle stream was refused: {head!r}")
        after = process.memory_info().rss
    each = (after - before) / IDLE
    return [f"{before / 1e6:.0f} MB", f"{after / 1e6:.0f} MB", f"{each / 1e3:.0f} KB", "≤ 300 MB"]


@contextmanager
def _plain(engine: Path) -> Iterator[Gateway]:
    port = free_port()
    with _process([sys.executable, HERE / "plain_proxy.py", engine, str(port)], port):
        yield Gateway("plain aiohttp", port, "/v1/chat/completions", EVENTS)


@contextmanager
def _litellm(engine: Path, folder: Path) -> Iterator[Gateway]:
    behind, port = free_port(), free_port()
    config = folder / "litellm.json"  # JSON is YAML as well
    parameters = {"model": "openai/pilot", "api_base": f"http://127.0.0.1:{behind}/v1"}
    model = {"model_name": "pilot", "litellm_params": {**parameters, "api_key": "none"}}
    # No key, as with the other two.
    open_to_all = {"dangerously_permit_weak_or_unset_master_key": True}
    config.write_text(json.dumps({"model_list": [model], "general_settings": open_to_all}))
    command: list[str | Path] = [ensure_litellm_proxy(), "--config", config, "--port", str(port)]
    with (
        _process([engine, "--port", str(behind)], behind, gateway=False),
        _process([*command, "--host", "127.0.0.1", "--telemetry", "False"], port),
    ):
        yield Gateway("litellm", port, "/v1/chat/completions", LITELLM_EVENTS)


@contextmanager
def _process(command: Sequence[str | Path], port: int, *, gateway: bool = True) -> Iterator[None]:
    """A program that listens on this port within two minutes."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        _pin(process.pid, gateway=gateway)
        yield
    finally:
        process.terminate()
        process.wait()


def _pin(pid: int, *, gateway: bool) -> None:
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, {_cores()[0 if gateway else 1]})


def _cores() -> list[int]:
    cores = sorted(psutil.Process().cpu_affinity() or [])
    if len(cores) < 2:
        raise RuntimeError("two cores are needed: one for the gateway, one for all else")
    return cores
