"""How much of a file a process has taken in: of real processes that map it, read it, or end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stoker.engines.reading import Reading

SIZE = 64 * 1024 * 1024

# One step for each line it is told; says so when a step is done.
MAPS = """
import mmap, sys
file = open(sys.argv[1], "rb")
print(flush=True)
input(); view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); print(flush=True)
for half in range(2):
    input()
    sum(view[at] for at in range(half * len(view) // 2, (half + 1) * len(view) // 2, 4096))
    print(flush=True)
input()
"""
READS = """
import sys
file = open(sys.argv[1], "rb", buffering=0)
print(flush=True)
input(); print(flush=True)
for half in range(2):
    input(); file.read(int(sys.argv[2]) // 2); print(flush=True)
input()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(SIZE))
    return path


class Reader:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def step(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@contextmanager
def reader(script: str, file: Path) -> Iterator[Reader]:
    with subprocess.Popen(
        [sys.executable, "-c", script, str(file), str(SIZE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield Reader(process)
        finally:
            process.kill()


@pytest.mark.parametrize("script", [MAPS, READS], ids=["maps", "reads"])
def test_the_share_grows_with_what_is_taken_in(script: str, file: Path) -> None:
    reading = Reading([file])
    with reader(script, file) as process:
        pid = process.process.pid
        assert reading.look(pid) == 0
        process.step()
        seen = [reading.look(pid)]
        for _ in range(2):
            process.step()
            seen.append(reading.look(pid))
    # Pages come to a process in runs of up to 2 MiB, and a page or two of a library may come later.
    assert seen == pytest.approx([0, 0.5, 1], abs=0.07)


def test_it_never_goes_back_and_survives_the_end_of_the_process(file: Path) -> None:
    reading = Reading([file, file.with_name("missing")])
    with reader(READS, file) as process:
        pid = process.process.pid
        reading.look(pid)
        process.step()
        process.step()
        before = reading.look(pid)
    assert reading.look(pid) == before > 0.4
