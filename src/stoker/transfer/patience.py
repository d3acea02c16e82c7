"""How long a transfer keeps trying. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from stoker.base.errors import AuthRequired, Denied, RateLimited, RemoteError, Unreachable


@dataclass(frozen=True, slots=True)
class Patience:
    """Attempts without a single new byte, and seconds between them.

    Any progress starts the count anew: a slow and shaky line is no reason to give up.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 20.0
    # A peer that asks for more than this is taken for one that says no.
    longest: float = 180.0
    # No byte for this long, and the connection counts as dead.
    stall: float = 30.0

    def pause(
        self, error: RemoteError, failures: int, chance: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds to wait after that many failures in a row; None: it is hopeless."""
        if failures >= self.attempts or not is_passing(error):
            return None
        pause: float = min(self.cap, self.base * float(2 ** (failures - 1))) * (0.5 + chance() / 2)
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return max(pause, error.retry_after) if error.retry_after <= self.longest else None
        return pause


def is_passing(error: RemoteError) -> bool:
    """True for failures that another attempt may not meet."""
    if isinstance(error, AuthRequired | Denied):
        return False
    if isinstance(error, Unreachable | RateLimited):
        return True
    return error.status is not None and (error.status in {408, 425, 429} or error.status >= 500)
