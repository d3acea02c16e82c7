"""Whom a confined engine can talk to: its own processes at most."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stoker.engines.confinement import Confinement, has_loopbacks
from stoker.engines.spec import Command
from stoker.engines.tether import LIMITS_VARIABLE, landlock_version, tethered
from tests.components.intruder import INTRUDER, attempts

pytestmark = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")


async def test_it_talks_to_nobody(run_dir: Path) -> None:
    local = run_dir / "local.sock"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(local))
        unix.listen()
        port = tcp.getsockname()[1]
        tries = (
            f"connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port}))",
            f"connect(socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', {port}))",
            "connect(socket.AF_INET6, socket.SOCK_DGRAM, ('::1', 53))",
            "socket.create_server(('127.0.0.1', 0))",
            f"connect(socket.AF_UNIX, socket.SOCK_STREAM, {str(local)!r})",
            "connect(socket.AF_UNIX, socket.SOCK_STREAM, '\\0anybody')",
        )
        free = await attempts(run_dir, *tries[:1], confinement=None)
        results = await attempts(run_dir, *tries, confinement=Confinement())
    assert free[tries[0]] == "did", "somebody listens"
    closed = {"EACCES", "EAFNOSUPPORT"}
    assert set(results.values()) == closed, results
    local.unlink()


async def test_it_sends_no_letters_either(run_dir: Path) -> None:
    """A datagram needs no connection: the system's journal takes them from everybody."""
    box = run_dir / "box.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        unix.bind(str(box))
        unix.setblocking(False)
        tries = (
            f"socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', {str(box)!r})",
            f"socket.socket(socket.AF_UNIX, socket.SOCK_RAW).sendto(b'x', {str(box)!r})",
            f"socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', {str(box)!r})",
            f"socket.socketpair()[0].sendto(b'x', {str(box)!r})",
        )
        free = await attempts(run_dir, *tries[:1], confinement=None)
        assert (unix.recv(1), free[tries[0]]) == (b"x", "did")
        results = await attempts(run_dir, *tries, "socket.socketpair()", confinement=Confinement())
        with pytest.raises(BlockingIOError):
            unix.recv(1)
    box.unlink()
    assert [results[attempt] for attempt in tries[:3]] == ["EACCES"] * 3, results
    assert results[tries[3]] in {"EISCONN", "EOPNOTSUPP"}
    assert results["socket.socketpair()"] == "did"


async def test_cuda_may_listen_for_its_peers(run_dir: Path) -> None:
    """Its driver refuses to start without this socket; nothing of an engine connects to it."""
    listen = (
        "one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC);"
        " one.bind(f'\\0cuda-uvmfd-{os.getpid()}'); one.listen(16)"
    )
    strange = "connect(socket.AF_UNIX, socket.SOCK_SEQPACKET, '\\0anybody')"
    unconnected = "socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).send(b'x')"
    results = await attempts(run_dir, listen, strange, unconnected, confinement=Confinement())
    assert results == {listen: "did", strange: "EACCES", unconnected: "ENOTCONN"}


ITSELF = (
    "with socket.create_server(('127.0.0.1', 0)) as server:"
    " connect(socket.AF_INET, socket.SOCK_STREAM, server.getsockname())"
)


@pytest.mark.skipif(not has_loopbacks(), reason="this kernel gives this user no network")
async def test_an_engine_with_workers_talks_to_them_alone(run_dir: Path) -> None:
    talks = Command(argv=(), socket=run_dir / "e" / "e.sock", loopback=True)
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        port = tcp.getsockname()[1]
        tries = (
            ITSELF,
            f"connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port}))",
            "connect(socket.AF_INET, socket.SOCK_DGRAM, ('192.0.2.1', 53))",
            "connect(socket.AF_UNIX, socket.SOCK_STREAM, '\\0anybody')",
        )
        results = await attempts(run_dir, *tries, confinement=Confinement(), command=talks)
    expected = ["did", "ECONNREFUSED", "ENETUNREACH", "ECONNREFUSED"]
    assert list(results.values()) == expected, results


# What follows is run by somebody who has no rights.
AS_NOBODY = """
if not os.geteuid():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    _kernel().prctl(4, 1)  # as after an exec: its files in /proc are its own
"""


def test_without_roots_rights_it_has_one_too(tmp_path: Path) -> None:
    """By a user namespace, in which it is who it was, and the death of its parent still ends it."""
    tether = Path(tethered(["x"])[3]).read_text().partition('if __name__ == "__main__"')[0]
    code = f"""{tether}
import errno, socket
{AS_NOBODY}
kernel = _kernel()
if not _has_loopbacks(kernel):
    sys.exit("none")
who = os.getuid(), os.getgid()
_die_with(os.getppid())
_enter_loopback(kernel)
assert who == (os.getuid(), os.getgid())
dies = ctypes.c_int()
kernel.prctl(2, ctypes.byref(dies))
assert dies.value == signal.SIGKILL
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.socket().connect(server.getsockname())
assert socket.socket(type=socket.SOCK_DGRAM).connect_ex(("192.0.2.1", 53)) == errno.ENETUNREACH
"""
    python = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.stderr == "none\n":
        pytest.skip("this kernel gives no user namespaces")
    assert done.returncode == 0, done.stderr


def test_where_there_is_none_it_keeps_the_machines(tmp_path: Path) -> None:
    altered = tmp_path / "tether.py"
    text = Path(tethered(["x"])[3]).read_text()
    altered.write_text(text.replace("_NEW_NETWORK = 0x10000000, 0x40000000", "_NEW_NETWORK = 1, 1"))
    python = (sys.executable, "-I", "-S")
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        attempt = f"connect(socket.AF_INET, socket.SOCK_STREAM, {tcp.getsockname()})"
        done = subprocess.run(
            [*python, str(altered), *python, "-c", INTRUDER, attempt],
            env={LIMITS_VARIABLE: "run /\nread /\nloopback"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.stdout == f"did {attempt}\n"
    assert done.stderr == (
        "0.00.000.000 W tether: no network of its own on this machine: this engine keeps the"
        " machine's\n"
    )
