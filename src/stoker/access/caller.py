"""Whoever sent a request, as far as that decides what it may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is for logs. `models`: canonical names; None for all, and for managing them too.

    `concurrency`: requests to models at a time, 0 for any number.
    """

    name: str
    models: frozenset[str] | None = None
    concurrency: int = 0

    @property
    def restricted(self) -> bool:
        """May use some models and manage nothing."""
        return self.models is not None

    @property
    def tenant(self) -> str:
        """Whose prompts may meet in a cache. Those who manage could read everything anyway."""
        return self.name if self.restricted else ""

    def may_use(self, names: Iterable[str]) -> bool:
        """Whether a model that has these canonical names may be used."""
        return self.models is None or not self.models.isdisjoint(names)


LOCAL: Final = Caller("local user")
"""Came through the unix socket, whose file only its owner may open."""
