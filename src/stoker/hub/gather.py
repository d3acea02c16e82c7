"""Some of many questions at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from stoker.base.errors import StokerError

_T = TypeVar("_T")
_U = TypeVar("_U")

# As many as a browser would open: headers of a hundred shards in a second, and no rate limit.
_AT_ONCE: Final = 8


async def each(items: Iterable[_T], work: Callable[[_T], Awaitable[_U]]) -> list[_U]:
    """The results in the order of the items, a few at once; the first failure ends the others."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(item: _T) -> _U:
        async with free:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as failures:
        ours, _ = failures.split(StokerError)
        raise (ours or failures).exceptions[0] from None
    return [task.result() for task in tasks]
