"""Runners that fail again and again: when the next try is due. Pure."""

from dataclasses import dataclass
from typing import Final

from stoker.base.errors import StokerError
from stoker.scheduler.events import RunnerKey, RunRequest

LONGEST: Final = 30.0
"""Seconds between two tries at most: whoever has mended the cause does not wait for long."""

STEADY: Final = 60.0
"""Seconds after which a runner has shown that it can stay up."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`count` failures in a row, the last with `error`; None for a crash after it was ready."""

    count: int
    until: float
    request: RunRequest
    error: StokerError | None


class Troubles:
    """By runner. The second failure in a row costs a second, each further one twice as much."""

    def __init__(self) -> None:
        self._by_key: dict[RunnerKey, Trouble] = {}

    def failed(self, request: RunRequest, error: StokerError | None, now: float) -> None:
        """One more failure."""
        before = self._by_key.get(request.key)
        count = before.count + 1 if before and before.request.settings == request.settings else 1
        delay = min(2.0 ** (count - 2), LONGEST) if count > 1 else 0.0
        self._by_key[request.key] = Trouble(count, now + delay, request, error)

    def crashed(self, request: RunRequest, now: float, *, lived: float) -> None:
        """It was ready for `lived` seconds; one that stayed up for long begins anew."""
        if lived > STEADY:
            self.over(request.key)
        self.failed(request, None, now)

    def started(self, key: RunnerKey) -> None:
        """Ready: what kept it from that is over. Whether it stays up is not known yet."""
        found = self._by_key.get(key)
        if found and found.error:
            self.over(key)

    def over(self, key: RunnerKey) -> None:
        """The cause may have been mended."""
        self._by_key.pop(key, None)

    def holding(self, request: RunRequest, now: float) -> Trouble | None:
        """Why this may not be started yet. Other settings are another try."""
        if not self._by_key:
            return None  # nearly always, and asked for everybody who waits
        found = self._by_key.get(request.key)
        if found and now < found.until and found.request.settings == request.settings:
            return found
        return None
