"""Engines that outlived a daemon that was killed: who they are, and their end.

On Linux an engine dies with its daemon (see `tether`), so there is rarely one. Left are those that
a setuid helper or a container runtime had started in between, and what a bug may still bring.
"""

import logging
import os
import shutil
import signal
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)


SOCKET: Final = "e.sock"
"""The name of a socket in its directory: short, since the whole path must be, and llama.cpp takes
only what ends in `.sock` for a socket."""


def note_of(socket: Path) -> Path:
    """The file that says which process serves this socket: where the engine cannot forge it."""
    return socket.parent.with_suffix(".pid")


def write_note(socket: Path, pid: int) -> None:
    """Remember the process that serves this socket. Its start time guards against a reused pid."""
    started = _start_time(pid)
    if started is None:
        return
    try:
        note_of(socket).write_text(f"{pid} {started}\n", encoding="ascii")
    except OSError as error:  # no reason not to serve
        logger.warning("engine not noted pid=%s: %s", pid, error)


def remove_traces(socket: Path) -> None:
    """Remove the socket's directory, which is the engine's own, and its note. Idempotent."""
    shutil.rmtree(socket.parent, ignore_errors=True)
    note_of(socket).unlink(missing_ok=True)


def reap_orphans(run_dir: Path) -> int:
    """Kill the engines that a former daemon left in this directory; answers how many there were.

    Call it while holding the daemon's lock and before the first engine starts: whatever is noted
    then belongs to nobody. Linux only; elsewhere it just removes stale sockets.
    """
    killed = 0
    for note in sorted(run_dir.glob("*.pid")):
        try:
            pid, started = map(int, note.read_text(encoding="ascii").split())
        except (OSError, ValueError):
            pid, started = 0, 0  # a torn note; the process, if any, cannot be named
        if pid > 1 and _start_time(pid) == started:
            logger.warning("orphaned engine killed pid=%s note=%s", pid, note.name)
            _kill_group(pid)
            killed += 1
        remove_traces(note.with_suffix("") / SOCKET)
    return killed


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)  # engines lead a group of their own
    except (ProcessLookupError, PermissionError) as error:
        logger.warning("orphaned engine not killed pid=%s: %s", pid, error.strerror)


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None when there is no such process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may itself contain any of them.
    state, *fields = status.rpartition(b")")[2].split()
    return None if state == b"Z" else int(fields[18])
