"""Engines without Stoker: started by hand, looked at every two milliseconds, asked, stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_EVERY = 0.002
_STOPS_WITHIN = 3.0


@contextmanager
def started(argv: Sequence[str], environ: Mapping[str, str], listens: Path) -> Iterator[None]:
    """The engine of this command, answering on its socket; the block ends it and waits."""
    with subprocess.Popen(
        argv, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            while not _healthy(listens):
                if process.poll() is not None:
                    raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
                time.sleep(_LOOK_EVERY)
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):  # a llama-server that streams may never end
                process.wait(_STOPS_WITHIN)
            _kill_group(process.pid)
            process.wait()
            listens.unlink(missing_ok=True)


def first_token(listens: Path, model: str) -> None:
    """Ask for an answer and read on until its first event; what comes later is not waited for."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "stream": True,
    }
    connection = _connection(listens, 900)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(answer.read().decode())
        while not (line := answer.readline()).startswith(b"data:"):
            if not line:
                raise RuntimeError("no token came")
    finally:
        connection.close()


def _healthy(listens: Path) -> bool:
    connection = _connection(listens, 2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connection(listens: Path, timeout: float) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(timeout)
    try:
        connection.sock.connect(str(listens))
    except OSError:
        connection.close()
        connection.sock = None
        connection.auto_open = 0
    return connection


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
