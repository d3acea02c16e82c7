"""What a tethered program has started ends with it, and with the one who started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from stoker.engines.tether import PARENT_VARIABLE, tethered
from tests.components.processes import family_of, survivors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")

# Says who it is and whom it started.
PROGRAM = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""
PARENT = """
import os, subprocess, sys, time
os.environ[sys.argv[1]] = str(os.getpid())
subprocess.Popen(sys.argv[2:], start_new_session=True)
time.sleep(600)
"""


def command(seconds: float) -> tuple[str, ...]:
    program = (sys.executable, "-I", "-S", "-c", PROGRAM, str(seconds))
    return tethered(program, with_children=True)


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    """What stands in Stoker's place, with a program that would go on for ten minutes."""
    parent = (sys.executable, "-I", "-S", "-c", PARENT, PARENT_VARIABLE, *command(600))
    with subprocess.Popen(parent, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def group(process: subprocess.Popen[str]) -> tuple[psutil.Process, list[psutil.Process]]:
    """The program and all that it has started, the guard among them."""
    assert process.stdout
    program, child = map(int, process.stdout.readline().split())
    members = family_of(program)
    assert len(members) == 3
    assert {program, child} < {one.pid for one in members}
    return members[0], members


@pytest.mark.parametrize("victim", ["parent", "program"])
def test_killed(started: subprocess.Popen[str], victim: str) -> None:
    program, members = group(started)
    (started if victim == "parent" else program).send_signal(signal.SIGKILL)
    assert not survivors(members)


def test_a_signal_to_the_group_ends_no_guard(started: subprocess.Popen[str]) -> None:
    program, members = group(started)
    program.suspend()  # it hangs: the signal reaches all the others
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.killpg(program.pid, number)
    started.kill()
    assert not survivors(members)


def test_a_program_that_ends_by_itself() -> None:
    """What it leaves behind would keep its output open."""
    done = subprocess.run(
        command(0), capture_output=True, text=True, start_new_session=True, timeout=10, check=True
    )
    assert len(done.stdout.split()) == 2
