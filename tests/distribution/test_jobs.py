"""Transfers of the daemon: what one of them does wrong is no other's business."""

import asyncio

import pytest

from stoker.base.errors import StokerError
from stoker.distribution.jobs import Job, Jobs, Notify
from stoker.wire.manage import Progress, ProgressLayer


async def lines_of(job: Job) -> list[str]:
    return [line.message async for line in job.follow()]


async def test_a_bug_in_one_transfer_leaves_the_others_and_the_daemon_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = asyncio.Event()

    async def patient(notify: Notify) -> None:
        await gate.wait()
        notify(Progress("success", "here"))

    async def broken(notify: Notify) -> None:
        raise KeyError("nobody thought of this")

    async with Jobs() as jobs:
        good, bad = jobs.start("pull a", patient), jobs.start("pull b", broken)
        with pytest.raises(StokerError, match="internal error in 'pull b'"):
            await lines_of(bad)
        gate.set()
        assert await lines_of(good) == ["here"]
    assert "nobody thought of this" in caplog.text


async def test_a_follower_that_reads_slowly_holds_one_line_of_each_layer() -> None:
    ready, told = asyncio.Event(), asyncio.Event()

    async def busy(notify: Notify) -> None:
        await ready.wait()
        for current in range(1000):
            for name in ("sha256:a", "sha256:b"):
                layer = ProgressLayer(1000, current, name)
                notify(Progress("progress", f"{name} {current}", 2000, layer))
        notify(Progress("warning", "the line broke; trying again in 1 s"))
        told.set()

    async with Jobs() as jobs:
        lines = jobs.start("pull a", busy).follow()
        first = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)  # it follows from here on
        ready.set()
        await told.wait()
        held = [(await first).message, *[line.message async for line in lines]]
    assert held == ["sha256:a 999", "sha256:b 999", "the line broke; trying again in 1 s"]
