"""A hold on a runner, for the length of a block."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, final

from stoker.engines.spec import Instance
from stoker.scheduler.events import Requested, Ticket


@dataclass(frozen=True, slots=True)
class Lease:
    """`name` is what the engine calls the model in its answers."""

    instance: Instance
    name: str


class Lessor(Protocol):
    """Grants runners; the scheduler."""

    async def granted(self, asked: Requested) -> Lease:
        """Wait for a runner. Whoever asked says when it is `over`, however it ended."""
        ...

    def over(self, ticket: Ticket) -> None:
        """It is held no more, or nobody waits for it any more."""
        ...


@final
class Hold:
    """The block. A generator would cost as much as the decisions themselves."""

    __slots__ = ("_asked", "_lessor")

    def __init__(self, lessor: Lessor, asked: Requested) -> None:
        self._lessor = lessor
        self._asked = asked

    async def __aenter__(self) -> Lease:
        try:
            return await self._lessor.granted(self._asked)
        except BaseException:
            self._lessor.over(self._asked.ticket)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lessor.over(self._asked.ticket)
