"""What the planner puts on a GPU and what llama.cpp then takes of it, device by device.

    python -m bench.offload PYTHON

PYTHON is the interpreter of a Vulkan build (STOKER_HOME/engines/llama.cpp/vulkan-*/bin/python).
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.components.vulkan import software_vulkan
from tests.planner.offload import ROWS, try_row

from bench.table import show


def run(python: str) -> None:
    """Print the table. MiB, planned / taken."""
    environ = {**os.environ, **software_vulkan(os.environ)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            found = try_row(row, Path(folder), python, environ)
            rows.append([row.label, *(f"{p.planned:.2f} / {p.taken:.2f}" for p in found.pairs)])
    show(["model", "GPU: weights", "cache", "compute", "host: compute"], rows)


if __name__ == "__main__":
    run(sys.argv[1])
