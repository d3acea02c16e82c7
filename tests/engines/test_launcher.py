"""The launcher against a stand-in engine with every fault that an engine may show."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from stoker.base.errors import LaunchFailed, NotReadyInTime
from stoker.engines.launcher import LocalLauncher
from stoker.engines.process import STOP_GRACE
from stoker.engines.spec import Command, Instance, Reason
from tests.components.fake_engine import FakeEngine
from tests.components.processes import freeze


async def start(
    run_dir: Path,
    *faults: str,
    ready_within: float = 10.0,
    lines: list[str] | None = None,
    writes: tuple[Path, ...] = (),
) -> Instance:
    engine = FakeEngine(ready_within=ready_within)
    command = engine.command_for(run_dir / "e" / "e.sock", *faults)
    command = replace(command, writes=writes)
    log = (lambda _line: None) if lines is None else lines.append
    return await LocalLauncher().start(engine, command, label="tiny", log=log)


async def test_one_that_stands_still_is_ended(run_dir: Path) -> None:
    engine = FakeEngine()
    command = engine.command_for(run_dir / "e" / "e.sock")
    launcher = LocalLauncher(patience=2)
    instance = await launcher.start(engine, command, label="tiny", log=lambda _: None)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(instance.watch())
        await asyncio.sleep(2.5)
        assert not watch.done(), "it answers"
        freeze(instance.pid)
        assert await instance.wait() == -signal.SIGKILL
    assert instance.hung
    await instance.stop()


async def test_one_that_hangs_up_or_has_no_socket_is_none_that_hangs(run_dir: Path) -> None:
    engine = FakeEngine()
    command = engine.command_for(run_dir / "e" / "e.sock")
    launcher = LocalLauncher(patience=0.2)
    instance = await launcher.start(engine, command, label="tiny", log=lambda _: None)
    instance.socket.unlink()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await instance.watch()
    assert not instance.hung
    await instance.stop()


async def until_written(path: Path) -> int:
    """The pid that an engine writes here early in its life."""
    async with asyncio.timeout(5):
        while not (text := _text_of(path)):  # noqa: ASYNC110  # another's file has no event
            await asyncio.sleep(0.005)
    return int(text)


def _text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def until_gone(pid: int) -> None:
    """A killed process that is not our child stays visible until its new parent has reaped it."""
    async with asyncio.timeout(5):
        while _runs(pid):  # noqa: ASYNC110  # nor has another's child
            await asyncio.sleep(0.005)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_start_then_stop(run_dir: Path) -> None:
    lines: list[str] = []
    instance = await start(run_dir, "--log", "hello", "--log", "world", lines=lines)
    assert instance.socket.is_socket()
    assert psutil.pid_exists(instance.pid)
    assert instance.log_tail == ("hello", "world") == tuple(lines)
    await instance.stop()
    assert await instance.wait() == -15
    assert not instance.socket.exists()
    await instance.stop()  # idempotent


async def test_it_waits_while_the_model_loads(run_dir: Path) -> None:
    began = time.monotonic()
    instance = await start(run_dir, "--loading", "0.3")
    assert time.monotonic() - began >= 0.3
    await instance.stop()


async def test_a_stale_socket_is_in_nobodys_way(run_dir: Path) -> None:
    (run_dir / "e").mkdir()
    (run_dir / "e" / "e.sock").touch()
    instance = await start(run_dir)
    await instance.stop()


async def test_a_crash_at_start_carries_the_last_lines(run_dir: Path) -> None:
    with pytest.raises(LaunchFailed) as caught:
        await start(run_dir, "--log", "no such tensor", "--exit-code", "3")
    assert caught.value.message == "tiny cannot be loaded: exit code 3: no such tensor"
    assert caught.value.log_tail == ("no such tensor",)
    assert caught.value.engine == "fake"
    assert caught.value.reason == "unknown"


async def test_what_helps_with_this_model_goes_before_what_helps_with_any(run_dir: Path) -> None:
    engine = FakeEngine()
    command = engine.command_for(run_dir / "e" / "e.sock", "--log", "bad", "--exit-code", "3")
    command = replace(command, hints={Reason.UNKNOWN: "look at it"})
    with pytest.raises(LaunchFailed) as caught:
        await LocalLauncher().start(engine, command, label="tiny", log=lambda _line: None)
    assert caught.value.hint == "look at it"


async def test_death_by_a_signal_at_start(run_dir: Path) -> None:
    with pytest.raises(LaunchFailed, match="signal 9: it wrote nothing") as caught:
        await start(run_dir, "--die-by", "SIGKILL")
    assert caught.value.reason == "crashed"


async def test_a_program_that_is_not_there(run_dir: Path) -> None:
    command = Command(argv=("/nowhere/engine",), socket=run_dir / "e" / "e.sock")
    with pytest.raises(LaunchFailed, match=r"for tiny: .*No such file.*/nowhere/engine"):
        await LocalLauncher().start(FakeEngine(), command, label="tiny", log=print)


@pytest.mark.parametrize("fault", ["--hang", "--never-healthy", "--mute"])
async def test_the_deadline(run_dir: Path, fault: str) -> None:
    with pytest.raises(NotReadyInTime, match=r"fake did not get tiny ready in 0\.4 seconds"):
        await start(run_dir, "--ignore-term", fault, ready_within=0.4)


@pytest.mark.parametrize("fault", ["--hang", "--never-healthy", "--mute"])
async def test_a_cancelled_start_leaves_no_process(
    run_dir: Path, fault: str, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    task = asyncio.create_task(start(run_dir, "--grandchild", str(note), fault, writes=(tmp_path,)))
    grandchild = await until_written(note)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1.0, "nobody is served yet: no reason to be patient"
    await until_gone(grandchild)


async def _cancelled_at_once(run_dir: Path) -> None:
    for turns in range(8):
        task = asyncio.create_task(start(run_dir))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_start_cancelled_at_once(
    run_dir: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    others = psutil.Process().children()  # daemons of other tests
    run(_cancelled_at_once(run_dir))
    assert psutil.Process().children() == others


async def test_ignoring_term_gets_killed_with_its_grandchild(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.engines.instance.STOP_GRACE", 0.2)
    note = tmp_path / "pid"
    instance = await start(run_dir, "--ignore-term", "--grandchild", str(note), writes=(tmp_path,))
    began = time.monotonic()
    await instance.stop()
    assert 0.2 <= time.monotonic() - began < STOP_GRACE
    assert await instance.wait() == -9
    await until_gone(int(note.read_text()))


async def test_a_cancelled_stop_still_stops(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.engines.instance.STOP_GRACE", 0.2)
    instance = await start(run_dir, "--ignore-term")
    task = asyncio.create_task(instance.stop())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(instance.pid)


async def test_two_stops_at_once(run_dir: Path) -> None:
    instance = await start(run_dir)
    await asyncio.gather(instance.stop(), instance.stop())
    assert await instance.wait() == -15


async def test_a_watcher_learns_of_a_crash(run_dir: Path) -> None:
    instance = await start(run_dir, "--crash-after", "0")
    watcher = asyncio.create_task(instance.wait())
    impatient = asyncio.create_task(instance.wait())
    await asyncio.sleep(0)
    impatient.cancel()  # must not disturb the other one
    reader, writer = await asyncio.open_unix_connection(instance.socket)
    body = b'{"stream": true}'
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await reader.read()
    writer.close()
    assert await watcher == -6
    await instance.stop()


async def test_the_pipe_held_open_does_not_delay_the_verdict(run_dir: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LaunchFailed, match="exit code 3: bad"):
        await start(
            run_dir, "--grandchild", str(tmp_path / "pid"), "--log", "bad", "--exit-code", "3",
            writes=(tmp_path,),
        )  # fmt: skip
    assert time.monotonic() - began < 3.0
    await until_gone(int((tmp_path / "pid").read_text()))


async def test_much_output_is_read_and_bounded(run_dir: Path) -> None:
    lines: list[str] = []
    instance = await start(run_dir, "--noise", "20000", lines=lines)
    await instance.stop()
    assert len(lines) == 20000
    assert instance.log_tail[-1] == "noise 19999"
    assert len(instance.log_tail) == 200


async def _one_life(run_dir: Path) -> None:
    instance = await start(run_dir)
    await instance.stop()


async def _twenty_lives(run_dir: Path) -> None:
    threads = psutil.Process().num_threads()
    for _ in range(20):
        await _one_life(run_dir)
    with pytest.raises(LaunchFailed):
        await start(run_dir, "--exit-code", "1")
    task = asyncio.create_task(start(run_dir, "--hang"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # asyncio waits for each child in a thread of its own, which may be about to end.
    assert psutil.Process().num_threads() <= threads + 2


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_twenty_lives_leave_nothing_on_either_loop(
    run_dir: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    run(_one_life(run_dir))  # libuv keeps a signal pipe for the life of the process
    before, others = psutil.Process().num_fds(), psutil.Process().children()
    run(_twenty_lives(run_dir))
    assert psutil.Process().num_fds() <= before
    assert psutil.Process().children() == others


async def test_it_tells_how_much_was_read(run_dir: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(bytes(64 * 1024 * 1024))
    command = FakeEngine().command_for(
        run_dir / "e" / "e.sock", "--reads", str(weights), "--loading", "0.5"
    )
    shares: list[float] = []
    instance = await LocalLauncher().start(
        FakeEngine(),
        replace(command, files=(weights,)),
        label="tiny",
        log=print,
        progress=shares.append,
    )
    await instance.stop()
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.5, abs=0.1)
