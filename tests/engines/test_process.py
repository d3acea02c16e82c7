"""A child process as its launcher waits for it."""

from stoker.engines.logs import LineTail
from stoker.engines.process import ChildProcess

FOR_EVER = 3600.0
"""Seconds; whoever waits that long here runs into the test's own limit."""


async def test_what_it_writes_and_its_end_are_noticed_at_once() -> None:
    tail = LineTail(lambda _: None)
    argv = ["sh", "-c", "echo ready; exec sleep 3600"]
    child = await ChildProcess.spawn(argv, {}, tail=tail, label="m")
    try:
        await child.stirs_within(FOR_EVER)
        assert tail.lines == ("ready",)
        assert child.exit_code is None
    finally:
        await child.end(0)
    await child.stirs_within(FOR_EVER)


async def test_what_it_wrote_before_counts_once() -> None:
    tail = LineTail(lambda _: None)
    child = await ChildProcess.spawn(["echo", "hello"], {}, tail=tail, label="m")
    try:
        await child.wait()
        await child.last_output()
        await child.stirs_within(FOR_EVER)
        await child.stirs_within(0)
        assert tail.lines == ("hello",)
    finally:
        await child.end(0)
