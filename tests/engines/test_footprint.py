"""What a process and its children hold, as the system counts it."""

import subprocess
import sys

from stoker.engines.footprint import footprint

MIB = 1024 * 1024
FAMILY = f"""
import subprocess, sys
held = bytearray(b"x") * ({MIB} * 40)
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
    child.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
"""


def test_children_count_and_what_has_ended_does_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY, FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert 80 * MIB < footprint(process.pid) < 150 * MIB
        process.communicate()
    assert footprint(process.pid) == 0
