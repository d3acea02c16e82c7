"""Daemons killed, doubled, hurried, and sent through time."""

import asyncio
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from stoker.store import Store
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.debian import ensure_debian_parts
from tests.components.faulty_daemon import faulty_daemon
from tests.components.http import ask
from tests.components.tiny_models import chat_model

BODY: dict[str, object] = {"model": "pilot", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


@contextmanager
def streaming(daemon: Daemon, body: dict[str, object]) -> Iterator[http.client.HTTPConnection]:
    line = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    headers = {"Content-Type": "application/json"}
    line.request("POST", PATH, json.dumps({**body, "stream": True}), headers)
    try:
        yield line
    finally:
        line.close()


def gone(pids: Sequence[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(map(runs, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("stage", ["answering", "loading", "idle"])
def test_killed_with_an_engine(tmp_path: Path, stage: str) -> None:
    """No orphan, nothing left in the run directory, a store that verifies, and the next one."""
    flags = {"loading": "--loading 60", "answering": "--tokens 0 --pause 0.01", "idle": ""}
    with faulty_daemon(tmp_path) as (daemon, faults):
        faults.write_text(flags[stage])
        with streaming(daemon, BODY) as line:
            if stage != "loading":
                assert line.getresponse().readline()
            deadline = time.monotonic() + 20
            while not (engines := daemon.engine_pids()):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            daemon.process.kill()
            daemon.process.wait()
        assert gone(engines)
    assert Store.open(tmp_path / "models").fsck(deep=True).problems == ()
    with running_daemon(tmp_path) as daemon:
        assert ask(daemon, "GET", "/health").status == 200  # it listens before it has tidied up
        assert {path.name for path in (tmp_path / "run").iterdir()} == {"stoker.sock"}
        assert ask(daemon, "POST", PATH, BODY).status == 200


def test_two_daemons_share_a_store(tmp_path: Path) -> None:
    """Two homes, one MODELS_PATH: both tag, remove, collect and answer at once."""
    shared = tmp_path / "shared"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        running_daemon(tmp_path / "a", MODELS_PATH=str(shared)) as first,
        running_daemon(tmp_path / "b", MODELS_PATH=str(shared)) as second,
    ):
        assert first.cli("pull", "pilot").returncode == 0
        assert ask(second, "GET", "/models/pilot").status == 200, "the other one sees it at once"
        codes: list[int] = []

        def work(daemon: Daemon, mine: str) -> None:
            for number in range(15):
                name = f"test/{mine}{number}"
                put_model(shared, chat_model(tmp_path / f"{mine}.gguf", title=name), name)
                codes.append(ask(daemon, "POST", PATH, {**BODY, "max_tokens": 1}).status)
                codes.append(ask(daemon, "DELETE", f"/models/{name}").status)
                codes.append(ask(daemon, "POST", PATH, {**BODY, "max_tokens": 1}).status)

        threads = [
            threading.Thread(target=work, args=pair) for pair in ((first, "a"), (second, "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert codes == [200] * 90
        for daemon in (first, second):
            listed = ask(daemon, "GET", "/models").json
            assert [model["tags"] for model in listed] == [["docker.io/ai/pilot:latest"]], listed
    assert Store.open(shared).fsck(deep=True).problems == ()


async def test_ten_thousand_management_requests_while_models_load(tmp_path: Path) -> None:
    paths = ("/models", "/engines/ps", "/health", "/v1/models", "/engines/df", "/models/pilot",
             "/version", "/metrics", "/api/tags", "/why")  # fmt: skip
    with running_daemon(tmp_path) as daemon:
        await asyncio.to_thread(daemon.cli, "pull", "pilot")
        numbers = iter(range(10_000))
        statuses: dict[int, int] = {}
        loads = 0

        async def manage(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                async with session.get(daemon.url + paths[number % len(paths)]) as answer:
                    await answer.read()
                    statuses[answer.status] = statuses.get(answer.status, 0) + 1

        async def load(session: aiohttp.ClientSession) -> None:
            nonlocal loads
            body = {**BODY, "max_tokens": 2}
            while sum(statuses.values()) < 10_000:
                async with session.post(daemon.url + PATH, json=body) as answer:
                    assert answer.status == 200, await answer.text()
                loads += 1
                async with session.post(daemon.url + "/engines/unload", json={"all": True}) as done:
                    assert done.status == 200

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            group.create_task(load(session))
            for _ in range(20):
                group.create_task(manage(session))
        assert statuses == {200: 10_000}
        assert loads >= 3


@pytest.mark.skipif(sys.platform != "linux", reason="libfaketime is preloaded")
@pytest.mark.parametrize("jump", ["+3d", "-3d"])
def test_the_clock_jumps(tmp_path: Path, jump: str) -> None:
    """Days forward or back: nothing is unloaded, cut or refused for it."""
    root = ensure_debian_parts("faketime", ["libfaketime"], "usr/share/doc/libfaketime/copyright")
    (library,) = root.glob("usr/lib/*/faketime/libfaketimeMT.so.1")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    fake = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with running_daemon(tmp_path, **fake) as daemon:
        put_model(tmp_path / "models", chat_model(tmp_path / "endless.gguf"), "test/endless")
        with streaming(daemon, {**BODY, "model": "test/endless"}) as line:
            stream = line.getresponse()
            assert stream.readline()
            before = daemon.engine_pids()
            clock.write_text(jump)
            for _ in range(200):
                assert b"error" not in stream.readline()
        for path in ("/engines/ps", "/models", "/health?deep=1", "/why", "/logs", "/metrics"):
            assert ask(daemon, "GET", path).status == 200, path
        again = ask(daemon, "POST", PATH, {**BODY, "model": "test/endless", "max_tokens": 1})
        assert again.status == 200
        assert daemon.engine_pids() == before
        assert moved(daemon, jump)


def moved(daemon: Daemon, jump: str) -> bool:
    """Whether the daemon's own clock followed: else this would prove nothing."""
    date = ask(daemon, "GET", "/version").headers["Date"]
    away = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.mktime(
        time.gmtime()
    )
    return (away > 86400) if jump.startswith("+") else (away < -86400)
