"""Transfers that belong to the daemon: each may have any number of followers, also none."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Self, final

from msgspec import UNSET

from stoker.base.errors import StokerError
from stoker.wire.manage import Progress

logger = logging.getLogger(__name__)

Notify = Callable[[Progress], None]


@final
class _Follower:
    """Lines that one follower has not read yet. Of a layer only the last one counts: who reads
    slowly misses steps, and holds no more lines than there are layers.
    """

    def __init__(self) -> None:
        self._lines: dict[object, Progress] = {}
        self.stirred = asyncio.Event()

    def put(self, line: Progress) -> None:
        """At the end."""
        layer = line.layer.id
        self._lines[object() if layer is UNSET else layer] = line
        self.stirred.set()

    def take(self) -> Iterator[Progress]:
        """All that is there."""
        while self._lines:
            yield self._lines.pop(next(iter(self._lines)))
        self.stirred.clear()


class Job:
    """A running transfer. Followers see progress from when they came; the end they always see."""

    def __init__(self) -> None:
        self._followers: set[_Follower] = set()
        self._error: BaseException | None = None
        self._last: Progress | None = None
        self._done = False

    async def follow(self) -> AsyncGenerator[Progress]:
        """Progress until the end. Raises what the transfer failed with. Whoever asks closes it."""
        follower = _Follower()
        self._followers.add(follower)
        try:
            while not self._done:
                await follower.stirred.wait()
                for line in follower.take():
                    yield line
            if self._error:
                raise self._error
            if self._last:
                yield self._last
        finally:
            self._followers.discard(follower)

    async def ended(self) -> None:
        """Wait for the end. Raises what the transfer failed with."""
        async with aclosing(self.follow()) as lines:
            async for _ in lines:
                continue

    def notify(self, line: Progress) -> None:
        """Tell the followers. The success line is kept for those who come late."""
        if line.type == "success":
            self._last = line
            return
        for follower in self._followers:
            follower.put(line)

    def finish(self, error: BaseException | None) -> None:
        """Wake the followers for the last time."""
        self._done = True
        self._error = error
        for follower in self._followers:
            follower.stirred.set()


class Jobs:
    """Running transfers by what they are about; a second wish for the same one joins the first.

    Use as an async context manager; leaving it cancels what still runs.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, traceback)

    def start(self, key: str, work: Callable[[Notify], Awaitable[None]]) -> Job:
        """The job of that key: the running one, or a new one that does `work`."""
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = Job()
            task = self._group.create_task(self._run(key, job, work), name=key)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return job

    async def _run(self, key: str, job: Job, work: Callable[[Notify], Awaitable[None]]) -> None:
        error: BaseException | None = asyncio.CancelledError()
        try:
            await work(job.notify)
            error = None
        except StokerError as failure:
            error = failure
        except Exception:
            # The rim of this task: raised into the group, a bug in one transfer would end the
            # others, and the daemon with them.
            logger.exception("bug in %s", key)
            hint = "stoker logs has the details; please report it"
            error = StokerError(f"internal error in {key!r}", hint=hint)
        finally:
            del self._jobs[key]
            job.finish(error)
