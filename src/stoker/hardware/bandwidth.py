"""How fast this host reads its memory: what bounds the tokens per second of a model on a CPU."""

import time
from functools import lru_cache
from typing import Final

_BLOCK: Final = 64 * 1024 * 1024
"""Bytes; more than any cache of a desktop's processor."""
_TRIES: Final = 3


@lru_cache(maxsize=1)
def memory_bandwidth() -> float:
    """Bytes per second one core can move, measured once in some 50 ms. More cores may be faster."""
    source = bytearray(b"\x01") * _BLOCK
    target = bytearray(_BLOCK)
    best = float("inf")
    for _ in range(_TRIES):
        began = time.perf_counter()
        target[:] = source
        best = min(best, time.perf_counter() - began)
    # Read once and written once.
    return 2 * _BLOCK / best
