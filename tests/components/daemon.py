"""The real daemon in its own home directory, and the real command line pointed at it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOKER = [sys.executable, "-m", "stoker.cli.main"]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean environment that knows nothing of the tester's own daemon."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STOKER_", "MODEL_RUNNER_"))}
    return {**kept, "STOKER_HOME": str(home), "DOCKER_CONFIG": str(home / "docker"), **more}


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cli(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command against it."""
        return run_cli(self.env, *arguments, stdin=stdin, timeout=timeout)

    def engine_pids(self) -> list[int]:
        """Its child processes that are still there."""
        listing = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listing.split()]


def run_cli(
    env: Mapping[str, str], *arguments: str, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `stoker` with these arguments."""
    return subprocess.run(
        [*STOKER, *arguments],
        env=dict(env),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextmanager
def running_daemon(home: Path, *flags: str, **variables: str) -> Iterator[Daemon]:
    """Start `python -m stoker.daemon`, wait until it listens, stop it by SIGTERM at the end."""
    port = free_port()
    env = environment(home, STOKER_HOST=f"http://127.0.0.1:{port}", **variables)
    output = home / "daemon.out"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "stoker.daemon", "--port", str(port), *flags],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_it_listens(process, port, output)
        yield Daemon(home, port, process, env)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        finally:
            process.kill()
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            text = output.read_text(errors="replace")
            raise AssertionError(f"the daemon ended with {process.returncode}:\n{text}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)  # nothing tells us when another process begins to listen
    raise AssertionError("the daemon did not listen within 30 s")
