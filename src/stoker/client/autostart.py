"""Starts a daemon in the background when none runs. Two commands at once end with one daemon."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from stoker.base.errors import StorageError, Unreachable
from stoker.base.paths import Paths, paths_of
from stoker.client.call import Request
from stoker.client.endpoint import Endpoint, endpoint_of
from stoker.client.running import running
from stoker.client.transport import Transport

# -P: a file called aiohttp.py in the user's working directory must not become part of the daemon.
DAEMON: Final = (sys.executable, "-P", "-m", "stoker.daemon", "--background")
# Importing the daemon takes a second on a slow disk; opening a large store may take some more.
START_TIMEOUT: Final = 30.0
# Between taking the lock and writing its pid there, the winner of a race is invisible to us.
_GRACE: Final = 0.5
_POLL: Final = 0.02
_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 8192
_HERE: Final = "this machine"
_MAX_LOG: Final = 16 * 1024 * 1024


def await_daemon(begin: Callable[[], None]) -> Endpoint:
    """Have somebody else start the daemon and wait until it answers.

    Raises Unreachable with its last words, and what `begin` raises.
    """
    log = log_file(paths_of())
    began = _prepare(log)
    begin()
    deadline = time.monotonic() + START_TIMEOUT
    while (now := time.monotonic()) < deadline and not _last_words(log, began):
        endpoint = endpoint_of()
        if _ready(endpoint, deadline - now):
            return endpoint
        time.sleep(_POLL)
    raise _failed(None, log, began)


def start_daemon(
    arguments: Sequence[str] = (),
    *,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = DAEMON,
) -> Endpoint:
    """Start a daemon, wait until it answers, and say where. Raises Unreachable, StorageError.

    It is detached: it survives this process and its terminal. When another process starts one at
    the same moment, ours loses the daemon lock and leaves, and we connect to the other.
    """
    env = dict(os.environ if environ is None else environ)
    paths = paths_of(env)
    log = log_file(paths)
    began = _prepare(log)
    child = _spawn([*command, *arguments], log, absolute(env, paths))
    deadline = time.monotonic() + START_TIMEOUT
    left: float | None = None
    while (now := time.monotonic()) < deadline:
        endpoint = endpoint_of(env)
        if _ready(endpoint, deadline - now):
            return endpoint
        if child.poll() is not None:
            left = now if left is None else left
            winner = running(paths)
            if now - left > _GRACE and (winner is None or winner.pid == child.pid):
                break
        time.sleep(_POLL)
    raise _failed(child.poll(), log, began)


def _ready(endpoint: Endpoint, patience: float) -> bool:
    """True when the daemon answers a request; it accepts connections a little earlier."""
    if not endpoint.answers():
        return False
    try:
        Transport(endpoint).read(Request("GET", "/version", timeout=patience))
    except Unreachable:
        return False
    return True


def log_file(paths: Paths) -> Path:
    """Where a daemon started here writes."""
    return paths.logs / "daemon.log"


def log_tail(log: Path, *, since: int = 0) -> list[str]:
    """The last lines of a log, from that byte on; empty when it cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]


def _prepare(log: Path) -> int:
    """Make the log's directory, put an overlong log aside; how many bytes it has now."""
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        size = log.stat().st_size if log.exists() else 0
        if size > _MAX_LOG:
            log.replace(log.with_suffix(".log.1"))
            size = 0
    except OSError as error:
        raise StorageError(
            f"cannot write {log}: {error.strerror}",
            hint="STOKER_HOME names another directory for everything that is kept",
        ) from error
    return size


def _spawn(argv: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [*argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            cwd="/",  # or the daemon would keep the user's directory from being unmounted
            start_new_session=True,
        )


def absolute(env: Mapping[str, str], paths: Paths) -> dict[str, str]:
    """The environment with its directories made absolute: the daemon works in another directory."""
    fixed = {"STOKER_HOME": str(paths.data), "MODELS_PATH": str(paths.models)}
    return {**env, **{name: value for name, value in fixed.items() if env.get(name)}}


def _last_words(log: Path, began: int) -> list[str]:
    """The reasons that a daemon gave for leaving, from that byte on."""
    tail = log_tail(log, since=began)
    return [line.removeprefix("error: ") for line in tail if line.startswith("error: ")]


def _failed(code: int | None, log: Path, began: int) -> Unreachable:
    """`code` is its exit code, None when it lives or nobody knows."""
    tail = log_tail(log, since=began)
    # The daemon's own last words, when it could choose them, are better than anything we know.
    said = _last_words(log, began)
    if said:
        advice = [line.removeprefix("hint: ") for line in tail if line.startswith("hint: ")]
        hint = advice[-1] if advice else None
        return Unreachable(f"the daemon did not start: {said[-1]}", origin=_HERE, hint=hint)
    why = (
        f"ended with exit code {code}" if code is not None else f"is silent for {START_TIMEOUT:g} s"
    )
    quote = "".join(f"\n  {line}" for line in tail)
    return Unreachable(
        f"the daemon {why}{'; its last words:' if tail else ''}{quote}",
        origin=_HERE,
        hint=f"run it in the foreground: stoker serve (its log is {log})",
    )
