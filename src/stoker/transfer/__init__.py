"""Moving content from a Source to a Sink."""

from stoker.transfer.copy import copy
from stoker.transfer.patience import Patience
from stoker.transfer.pieces import Cut
from stoker.transfer.progress import Done, Moved, Notify, Progress, Retrying, Skipped, Started

__all__ = [
    "Cut", "Done", "Moved", "Notify", "Patience", "Progress", "Retrying", "Skipped", "Started",
    "copy",
]  # fmt: skip
