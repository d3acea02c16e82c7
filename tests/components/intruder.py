"""A program that tries what it is told, confined as an engine is, and says what came of it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stoker.base.errors import LaunchFailed
from stoker.engines.confinement import Confinement
from stoker.engines.launcher import LocalLauncher
from stoker.engines.spec import Command
from stoker.engines.tether import tethered
from tests.components.fake_engine import FakeEngine

# Carries out each argument, Python as it is, and says what came of it.
INTRUDER: Final = """
import ctypes, errno, os, resource, signal, socket, sys
def connect(family, kind, address):
    with socket.socket(family, kind) as one:
        one.connect(address)
for attempt in sys.argv[1:]:
    try:
        exec(attempt)
        print("did", attempt)
    except OSError as error:
        print(errno.errorcode[error.errno], attempt)
sys.stdout.flush()
os._exit(3)
"""


async def attempts(
    run_dir: Path, *tries: str, confinement: Confinement | None, command: Command | None = None
) -> dict[str, str]:
    """What came of each attempt."""
    program = [sys.executable, "-I", "-S", "-c", INTRUDER, *tries]
    own = Command(argv=(), socket=run_dir / "e" / "e.sock")
    one = replace(command or own, argv=tethered(program))
    with pytest.raises(LaunchFailed) as ended:
        await LocalLauncher(confinement).start(FakeEngine(), one, label="x", log=lambda _: None)
    lines = [line.partition(" ") for line in ended.value.log_tail]
    assert len(lines) == len(tries), ended.value.log_tail
    return {attempt: result for result, _, attempt in lines}
