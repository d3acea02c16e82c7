"""Something that is done now and then."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` each so many seconds while the block runs; it must not wait."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def act() -> None:
        nonlocal timer
        timer = loop.call_later(seconds, act)  # first: one that fails is logged, and not the last
        action()

    timer = loop.call_later(seconds, act)
    try:
        yield
    finally:
        timer.cancel()
