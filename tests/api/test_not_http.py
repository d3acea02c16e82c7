"""What no route ever sees, over a raw socket: the answer is Stoker's, and it has an id."""

import gzip
import socket
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask

HOST = b"Host: localhost\r\n"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
NOT_HTTP = {
    "Invalid method encountered": b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "Received HTTPS traffic on an HTTP port": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    "Bad status line: Invalid HTTP version": b"GET / HTTP/9.1\r\n" + HOST + b"\r\n",
    "Got more than 8190 bytes when reading": b"GET / HTTP/1.1\r\nKey: " + b"k" * 9000 + b"\r\n\r\n",
    "Too many headers received": b"GET / HTTP/1.1\r\n" + HOST + b"A: a\r\n" * 200 + b"\r\n",
    "Invalid header token": b"GET / HTTP/1.1\r\nAuthorization : Bearer sk-1\r\n\r\n",
    "Invalid character in Content-Length": CHAT + b"Content-Length: x\r\n\r\n",
    "Invalid character in chunk size": CHAT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}  # fmt: skip


def told(daemon: Daemon, data: bytes) -> tuple[HTTPResponse, bytes]:
    """The first answer to these bytes."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as line:
        line.sendall(data)
        answer = HTTPResponse(line)
        answer.begin()
        return answer, answer.read()


def log_of(daemon: Daemon) -> str:
    ask(daemon, "GET", "/logs")  # writes what is held
    return Path(daemon.home, "logs", "stoker.log").read_text()


@pytest.mark.parametrize("why", NOT_HTTP)
def test_what_is_no_http_is_answered_in_our_words_and_logged_in_one_line(
    daemon: Daemon, why: str
) -> None:
    answer, body = told(daemon, NOT_HTTP[why])
    name = answer.headers["X-Request-Id"]
    assert (answer.status, answer.headers["Server"], len(name)) == (400, "stoker", 12)
    assert body.decode() == f"this is not HTTP as Stoker reads it: {why}\n"
    mine = [line for line in log_of(daemon).splitlines() if name in line]
    assert len(mine) == 1
    assert "INFO request status=400 refused=" in mine[0]
    assert "sk-1" not in log_of(daemon)
    assert "Traceback" not in log_of(daemon)


def test_an_expectation_that_nobody_knows_is_refused_with_the_clients_id(daemon: Daemon) -> None:
    asked = CHAT + b"X-Request-Id: mine\r\nExpect: wonders\r\nContent-Length: 0\r\n\r\n"
    answer, _ = told(daemon, asked)
    assert (answer.status, answer.headers["Server"]) == (417, "stoker")
    assert answer.headers["X-Request-Id"] == "mine"


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"{}" * 50)[:-20] + b"x" * 20])
def test_a_body_that_is_not_what_its_encoding_says_is_the_senders_mistake(
    daemon: Daemon, body: bytes
) -> None:
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer, text = told(daemon, CHAT + head + body)
    assert answer.status == 400
    assert b"is not what its Content-Encoding or Transfer-Encoding says" in text
    assert "Traceback" not in log_of(daemon)
