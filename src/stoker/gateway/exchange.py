"""What is known about one request when it is over, for whoever counts or records."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stoker.base.errors import StokerError
from stoker.gateway.operation import Call

# A recorded answer is for reading; what is longer is cut.
MAX_RECORDED = 256 * 1024


@dataclass(slots=True)
class Exchange:
    """Filled while the request is served. Times in seconds of one monotonic clock.

    `name` and `engine` are those of the runner, empty when it never came to one. `status` is what
    was sent, 0 when the client left before; `error` is set instead when nothing was sent.
    `recorded` collects the answer as it was sent, when somebody wants it.
    """

    call: Call
    recorded: bytearray | None = None
    model: str = ""
    name: str = ""
    engine: str = ""
    began: float = field(default_factory=time.monotonic)
    granted: float | None = None
    first_byte: float | None = None
    ended: float = 0.0
    status: int = 0
    error: StokerError | None = None

    def saw(self, data: bytes) -> None:
        """These bytes are on their way to the client."""
        if self.first_byte is None:
            self.first_byte = time.monotonic()
        if self.recorded is not None and len(self.recorded) < MAX_RECORDED:
            self.recorded += data[: MAX_RECORDED - len(self.recorded)]


Observer = Callable[[Exchange], None]
"""Called once for each request, when it is over. Must not raise and must not wait."""
