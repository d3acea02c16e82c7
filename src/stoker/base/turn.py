"""Things that are to be done once in each turn of the event loop, however many requests it has."""

import asyncio
from typing import final


@final
class Turn:
    """Tells the first caller in a turn from the others.

    Whoever looks at a file once in each turn misses nothing: what is being handled had come before
    the turn began, hence whatever its sender had changed before is seen.
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = False

    def first(self) -> bool:
        """Whether nobody asked in this turn before. Always, where no event loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return True
        if self._begun:
            return False
        self._begun = True
        loop.call_soon(self._end)
        return True

    def _end(self) -> None:
        self._begun = False
