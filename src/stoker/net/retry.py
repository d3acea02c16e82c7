"""When to try again, and how long to wait first. Pure: time and chance come in as arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

# RFC 9110 section 9.2.2: idempotent methods may be repeated without asking.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# 501 and 505 stay what they are; the others pass.
_TRANSIENT: Final = frozenset({500, 502, 503, 504})
# A peer's number; more digits than this are no waiting time.
_MAX_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient we are with one request.

    A host that asks for a minute gets its minute: `total` bounds the sum of all waits, and a
    `Retry-After` that does not fit into what is left ends the attempt at once, with RateLimited.
    """

    attempts: int = 5
    base: float = 0.5
    cap: float = 20.0
    total: float = 180.0

    def wait(
        self,
        attempt: int,
        *,
        waited: float,
        retry_after: float | None,
        chance: Callable[[], float],
    ) -> float | None:
        """Seconds to wait after failed attempt number `attempt` (from 1), or None: give up."""
        if attempt >= self.attempts:
            return None
        # Full jitter: many clients that failed together do not come back together.
        backoff = min(self.cap, self.base * 2 ** (attempt - 1)) * chance()
        pause = backoff if retry_after is None else retry_after + backoff * 0.1
        return pause if waited + pause <= self.total else None


ONCE: Final = RetryPolicy(attempts=1)
"""For callers with a patience of their own."""


def is_transient(status: int) -> bool:
    """True for answers of a server that may well do better soon."""
    return status == 429 or status in _TRANSIENT


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds to wait after RFC 9110 section 10.2.3: delta-seconds or an HTTP date.

    Never negative and never raises; nonsense is None. `now` is Unix time.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_DIGITS else None
    if len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        # The obsolete asctime form has no zone and means GMT.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
