"""What the daemon of this data directory says about itself in its lock file."""

import os

import msgspec

from stoker.base.paths import Paths


class Running(msgspec.Struct, omit_defaults=True):
    """`address` is its HTTP URL; `socket` the file it listens on too; `models` its store."""

    pid: int
    address: str = ""
    socket: str = ""
    models: str = ""


def running(paths: Paths) -> Running | None:
    """The daemon that is alive, or None. Its number may meanwhile be another program's."""
    try:
        found = msgspec.json.decode(paths.daemon_lock.read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None  # never started, ended well, or is just starting
    if found.pid <= 0:
        return None  # to kill(2) zero and negative numbers mean groups of processes
    try:
        os.kill(found.pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass  # alive, and someone else's
    return found
