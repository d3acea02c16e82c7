"""How fast this host reads its memory: what bounds the tokens per second of a model on a CPU."""

import ctypes
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final

from stoker.hardware.host import usable_cores

_FOOTPRINT: Final = 128 * 1024 * 1024
"""Bytes copied from, by all cores together; more than the caches of a desktop's processor."""
_MOST_CORES: Final = 8
"""Fewer fill the memory bus of any desktop."""
_TRIES: Final = 4


@lru_cache(maxsize=1)
def memory_bandwidth() -> float:
    """Bytes per second, copied by all usable cores; measured once in some 100 ms.

    On a busy machine cores wait for their turn, so one core's rate by its own clock is the least
    that is answered.
    """
    cores = min(usable_cores() or os.cpu_count() or 1, _MOST_CORES)
    size = _FOOTPRINT // cores
    blocks = [_Block(size) for _ in range(cores)]
    best = 0.0
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(_TRIES):
            began = time.perf_counter()
            alone = max(pool.map(_Block.copy, blocks))
            together = size * cores / (time.perf_counter() - began)
            best = max(best, together, alone)
    # Read once and written once.
    return 2 * best


class _Block:
    def __init__(self, size: int) -> None:
        self._size = size
        # Written, or the system gives both the same page of zeros.
        self._source = bytearray(b"\x01") * size
        self._target = bytearray(b"\x02") * size

    def copy(self) -> float:
        """Bytes per second of this thread's own time. Without the interpreter's lock."""
        source = (ctypes.c_char * self._size).from_buffer(self._source)
        target = (ctypes.c_char * self._size).from_buffer(self._target)
        began = time.thread_time()
        ctypes.memmove(target, source, self._size)
        return self._size / max(time.thread_time() - began, 1e-9)
