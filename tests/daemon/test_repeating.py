"""What is done now and then."""

import asyncio

import pytest

from stoker.daemon.repeating import repeating


async def test_one_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    times: list[int] = []
    again = asyncio.Event()

    def act() -> None:
        times.append(1)
        if len(times) == 1:
            raise OSError("only this once")
        again.set()

    async with asyncio.timeout(10):
        with repeating(0.001, act):
            await again.wait()
    assert "only this once" in caplog.text
