"""One daemon for each data directory; its sockets; its end."""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import Locked, StorageError
from stoker.base.paths import check_own

_BACKLOG: Final = 1024
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class Running(msgspec.Struct):
    """What the lock file of a running daemon says."""

    pid: int
    address: str
    socket: str
    version: str
    models: str = ""


@contextmanager
def single_instance(path: Path, running: Running) -> Iterator[None]:
    """Hold the daemon lock. The kernel lets go of it when the process dies, however it dies.

    Raises Locked when another daemon holds it, StorageError when the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}", hint="check permissions, or set STOKER_HOME"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                f"a daemon is already running{_holder(descriptor)}",
                hint="stoker status shows it; stoker stop-runner stops it",
            ) from None
        _write(descriptor, msgspec.json.encode(running))
        yield
        _write(descriptor, b"")
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)


def _holder(descriptor: int) -> str:
    try:
        other = msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Running)
    except msgspec.MsgspecError:
        return ""  # it is just starting or ending
    return f" (pid {other.pid}, {other.address})"


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises Locked when the port is taken, StorageError otherwise."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Locked(
                f"port {port} on {host} is in use by another program",
                hint=f"choose another one: --port {port + 1 if port < 65535 else 0}; "
                "start-runner remembers it",
            ) from error
        raise StorageError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="try --host 127.0.0.1"
        ) from error
    return listener


def listen_unix(path: Path) -> socket.socket:
    """A listening unix socket that only this user can reach. Raises StorageError.

    Called while the daemon lock is held, so whatever lies at `path` is left over.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(path.parent)
        path.unlink(missing_ok=True)
        return _listening(path)
    except OSError as error:
        raise StorageError(
            f"cannot listen on {path}: {error.strerror}",
            hint="check permissions, or set STOKER_HOME",
        ) from error


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # The mode is set before anyone can connect: bind creates it, listen opens it.
        listener.bind(str(path))
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def until_signalled() -> int:
    """Wait for SIGTERM or SIGINT; answers which. From then on either has its default action again.

    So the second time, when somebody means it, the process ends, and the engines die with it.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[int] = loop.create_future()

    def note(number: int) -> None:
        for one in _ENDING:
            loop.remove_signal_handler(one)
            # Not Python's own for Ctrl-C: it raises wherever it strikes, and uvloop takes what is
            # raised in a connection's callback for that connection's end.
            signal.signal(one, signal.SIG_DFL)
        if not arrived.done():  # both may have come at once
            arrived.set_result(number)

    for number in _ENDING:
        loop.add_signal_handler(number, note, number)
    return await arrived
