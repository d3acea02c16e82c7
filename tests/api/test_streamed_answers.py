"""Answers that are written piece by piece: what a HEAD gets of them, and how they break off."""

import hashlib
import os
import socket
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path

import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon
from tests.components.http import ask

_NEXT = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def said(daemon: Daemon, data: bytes) -> bytes:
    """All that comes until the service closes the connection."""
    got = b""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as line:
        line.sendall(data)
        while piece := line.recv(65536):
            got += piece
    return got


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/logs", b"Content-Type: text/plain; charset=utf-8"),
        ("/logs?follow=true", b"Content-Type: text/plain; charset=utf-8"),
        ("/models/pilot/export", b"Content-Length: "),
        ("/engines/requests", b"Content-Type: text/event-stream"),
    ],
)
def test_the_answer_to_a_head_is_a_head(daemon: Daemon, path: str, header: bytes) -> None:
    asked = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    first, rest = said(daemon, asked.encode() + _NEXT).split(b"\r\n\r\n", 1)
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert header in first
    # Whatever came before it would be read as the next answer.
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b'{"version":"0.1.0"}\n')


@pytest.mark.parametrize("wish", ["", "Connection: keep-alive\r\n"])
def test_a_stream_in_http_1_0_ends_with_its_connection(daemon: Daemon, wish: str) -> None:
    """It has no length there, and no chunks: nothing else could end it."""
    body = b'{"model": "pilot", "prompt": "hi", "options": {"num_predict": 2}}'
    head = f"POST /api/generate HTTP/1.0\r\n{wish}Content-Length: {len(body)}\r\n\r\n"
    assert said(daemon, head.encode() + body).endswith(b'"done":true}\n')


def test_an_answer_that_fails_in_the_middle_looks_cut_off(daemon: Daemon, tmp_path: Path) -> None:
    """Another program shortens its file while it is sent."""
    file = tmp_path / "long.gguf"
    file.write_bytes(bytes(16 * 1024 * 1024))  # more than a socket holds
    put_model(daemon.home / "models", file, "test/long")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    blob = daemon.home / "models" / "blobs" / "sha256" / digest
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(30)
        line.connect(str(daemon.home / "run" / "stoker.sock"))
        line.sendall(b"GET /models/test/long/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = HTTPResponse(line)
        answer.begin()
        blob.chmod(0o600)
        os.truncate(blob, 8 * 1024 * 1024)
        with pytest.raises(IncompleteRead) as cut:
            answer.read()
    # A second head in it would be taken for a part of the model.
    assert b"HTTP/1.1" not in cut.value.partial
    assert ask(daemon, "DELETE", "/models/test/long").status == 200
    assert "failed in an answer path='/models/test/long/export'" in log_of(daemon)


def log_of(daemon: Daemon) -> str:
    ask(daemon, "GET", "/logs")  # writes what is held
    return Path(daemon.home, "logs", "stoker.log").read_text()
