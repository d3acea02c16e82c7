"""Transfers of the daemon: what one of them does wrong is no other's business."""

import asyncio

import pytest

from stoker.base.errors import StokerError
from stoker.distribution.jobs import Job, Jobs, Notify
from stoker.wire.manage import Progress


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
