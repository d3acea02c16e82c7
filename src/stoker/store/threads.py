"""Blocking work in threads, and never leaving one behind."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def start(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> asyncio.Future[_T]:
    """Begin in a thread. Whoever calls this must see it to its `ended`."""
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(None, functools.partial(function, *args, **kwargs))


async def ended(*futures: asyncio.Future[Any], stop: Callable[[], None] | None = None) -> None:
    """Wait until all are done, also when cancelled meanwhile; the cancellation is raised after.

    A thread cannot be cancelled, and the descriptor it works on must outlive it. `stop` is called
    upon cancellation. What the futures raised stays in them.
    """
    cancelled: asyncio.CancelledError | None = None
    while waiting := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
            if stop:
                stop()
    if cancelled:
        raise cancelled


async def to_end(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run in a thread and wait for its end, also when cancelled."""
    future = start(function, *args, **kwargs)
    await ended(future)
    return future.result()
