"""What a transfer tells about itself, as the progress lines that clients read."""

import time
from collections.abc import Callable
from typing import Final, Literal

from stoker.distribution.jobs import Notify
from stoker.oci.manifest import Manifest
from stoker.transfer import Done, Moved, Progress, Retrying, Skipped, Started
from stoker.wire import manage

# Docker Model Runner's rhythm: often enough for a smooth bar, rarely enough for a slow terminal.
_INTERVAL: Final = 0.1
_STEP: Final = 1024 * 1024


class Reporter:
    """Turns transfer records into lines; at most ten a second or one a MiB for each layer."""

    def __init__(
        self,
        manifest: Manifest,
        mode: Literal["pull", "push"],
        notify: Notify,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layers = {layer.digest for layer in manifest.layers}
        self._total = manifest.size
        self._mode = mode
        self._notify = notify
        self._clock = clock
        self._sent: dict[str, tuple[float, int]] = {}

    def __call__(self, record: Progress) -> None:
        """Take note of one record."""
        if isinstance(record, Retrying):
            text = f"{record.reason}; trying again in {record.pause:.0f} s"
            self._notify(manage.Progress("warning", text, mode=self._mode))
            return
        if record.descriptor.digest not in self._layers:
            return
        match record:
            case Started() | Moved():
                self._line(record.descriptor.digest, record.descriptor.size, record.held)
            case Done() | Skipped():
                size = record.descriptor.size
                self._line(record.descriptor.digest, size, size)

    def _line(self, digest: str, size: int, held: int) -> None:
        now = self._clock()
        before = self._sent.get(digest)
        if before:
            sent_at, sent = before
            due = now - sent_at >= _INTERVAL or held - sent >= _STEP or held == size
            if not due or held == sent:
                return
        self._sent[digest] = (now, held)
        verb = "Downloaded" if self._mode == "pull" else "Uploaded"
        # A pull's total is the model, a push's the layer: as Docker Model Runner counts.
        total = self._total if self._mode == "pull" else size
        text = f"{verb}: {held / _STEP:.2f} MB"
        layer = manage.ProgressLayer(size=size, current=held, id=digest)
        self._notify(manage.Progress("progress", text, total, layer, self._mode))
