"""How long commands take before they are useful, and what the idle daemon weighs."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from tests.components.daemon import running_daemon

from bench.table import show

ROUNDS = 21


def run() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as home, running_daemon(Path(home)) as daemon:
        daemon.cli("pull", "pilot")
        stoker = str(Path(sys.executable).with_name("stoker"))
        commands: dict[str, Sequence[str]] = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "stoker --help": [stoker, "--help"],
            "stoker list": [stoker, "list"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, env=dict(daemon.env), stdout=subprocess.DEVNULL, check=True)
                times[name].append(time.perf_counter() - began)
        bare = statistics.median(times["python -c pass"])
        rows = [
            [
                name,
                f"{statistics.median(t) * 1000:.0f} ms",
                f"{statistics.median(t) / bare:.1f}",
                goal,
            ]
            for (name, t), goal in zip(times.items(), ("", "60 ms", "100 ms"), strict=True)
        ]
        resident = psutil.Process(daemon.process.pid).memory_info().rss
        rows.append(["idle daemon", f"{resident / 1e6:.0f} MB", "", "80 MB"])
        show(["what", "median", "÷ bare Python", "goal"], rows)
