"""A real daemon whose engine is the stand-in, with the faults that a test chooses."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.components.daemon import Daemon, running_daemon

_SERVER = Path(__file__).with_name("fake_llama_server.py")
_PROGRAM = """#!/bin/sh
case "$1" in --version|--list-devices) exit;; esac
while [ "$1" != --host ]; do shift; done
exec {python} -I -S {server} --socket "$2" $(cat {faults})
"""


class FaultyDaemon(NamedTuple):
    """`faults` holds the flags of the next engine that is started, see `fake_llama_server`."""

    daemon: Daemon
    faults: Path


@contextmanager
def faulty_daemon(home: Path, **variables: str) -> Iterator[FaultyDaemon]:
    """With `pilot` in its store, which the stand-in will not read."""
    place = home / "engine"
    place.mkdir()
    server = shutil.copy(_SERVER, place)
    faults = place / "faults"
    faults.touch()
    program = place / "llama-server"
    program.write_text(_PROGRAM.format(python=sys.executable, server=server, faults=faults))
    program.chmod(0o755)
    with running_daemon(home, LLAMA_SERVER_PATH=str(program), **variables) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield FaultyDaemon(daemon, faults)
