"""Clients that are slow on purpose, and many (row 16): cut, while everybody else is served."""

import contextlib
import gzip
import http.client
import json
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask
from tests.components.tiny_models import chat_model

HELLO = {"model": "pilot", "prompt": "hi", "max_tokens": 1}
LIMITS = {
    "STOKER_HEADER_TIMEOUT": "1",
    "STOKER_BODY_TIMEOUT": "1",
    "STOKER_BODY_RATE": "1000",
    "STOKER_WRITE_TIMEOUT": "1",
    "STOKER_MAX_CONNECTIONS": "40",
    "STOKER_MAX_BODY": "1000000",
    "STOKER_MAX_BODIES": "1500000",
}


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home, files = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("files")
    with running_daemon(home, **LIMITS) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        put_model(home / "models", chat_model(files / "endless.gguf"), "test/endless")
        assert ask(daemon, "POST", "/v1/completions", HELLO).status == 200
        yield daemon


@contextmanager
def connected(daemon: Daemon, data: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as line:
        line.sendall(data)
        yield line


def whole(line: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    try:
        while data := line.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


HALF = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{"


@pytest.mark.parametrize("said", [b"", b"G", HALF, HALF + b"a\r\n", b"\r\n\r\n", b"\n\n" + HALF])
def test_row_16_a_header_that_never_ends_is_cut(hurried: Daemon, said: bytes) -> None:
    with connected(hurried, said) as line:
        assert whole(line) == b""


def drip(line: socket.socket, stop: threading.Event) -> None:
    """A byte now and then, until told or cut."""
    while not stop.wait(0.2):
        try:
            line.send(b"a")
        except OSError:
            return


def test_row_16_a_header_that_drips_is_cut_all_the_same(hurried: Daemon) -> None:
    with connected(hurried, HALF) as line:
        stop = threading.Event()
        dripping = threading.Thread(target=drip, args=(line, stop))
        dripping.start()
        assert whole(line) == b""
        stop.set()
        dripping.join()


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/messages", "/api/chat", "/models/create"])
def test_row_16_a_body_that_stops_or_drips_is_given_up(hurried: Daemon, path: str) -> None:
    request = BODY.replace(b"/v1/completions", path.encode())
    for dripping in (False, True):
        with connected(hurried, request) as line:
            stop = threading.Event()
            thread = threading.Thread(target=drip, args=(line, stop))
            if dripping:
                thread.start()
            answer = line.recv(65536)
            stop.set()
            if dripping:
                thread.join()
        assert answer.startswith(b"HTTP/1.1 408 "), (dripping, answer)
        assert b"came too slowly" in answer
        assert b"\r\nStoker-Error: request_timeout\r\n" in answer


def test_row_16_a_slow_archive_is_given_up(hurried: Daemon) -> None:
    with connected(hurried, BODY.replace(b"/v1/completions", b"/models/load")) as line:
        assert line.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_row_16_a_fast_body_in_pieces_passes(hurried: Daemon) -> None:
    data = json.dumps({**HELLO, "prompt": "hi " * 200, "filler": "x" * 20_000}).encode()
    header = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
    with connected(hurried, header.encode() + b"\r\n") as line:
        for at in range(0, len(data), 1000):
            line.sendall(data[at : at + 1000])
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/messages", "/api/chat", "/api/show"])
def test_row_17_a_body_without_an_announced_length_or_of_one_that_grows_is_bounded(
    hurried: Daemon, path: str
) -> None:
    chunked = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    bomb = gzip.compress(b" " * 100_000_000)
    packed = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(bomb)
    before = memory(hurried)
    for headers, body in ((b"Transfer-Encoding: chunked\r\n", chunked * 2), (packed, bomb)):
        request = b"POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path.encode(), headers)
        with connected(hurried, request) as line:
            with contextlib.suppress(ConnectionError):
                line.sendall(body)
            assert line.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert memory(hurried) - before < 50_000_000


def test_row_17_all_bodies_together_are_bounded(hurried: Daemon) -> None:
    def begun() -> contextlib.AbstractContextManager[socket.socket]:
        most = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 990000\r\n\r\n"
        return connected(hurried, most + b" " * 900_000)

    with begun() as first, begun() as second:
        answers = [line.recv(4096) for line in (second, first)]
    refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
    assert len(refused) == 1, answers  # the other one is given up for being slow
    assert b"\r\nRetry-After: 1\r\n" in refused[0]
    whole = {**HELLO, "filler": "x" * 900_000}
    for _ in range(3):  # and what was held is given back
        assert ask(hurried, "POST", "/v1/completions", whole).status == 200


def memory(daemon: Daemon) -> int:
    """Bytes that the daemon itself has in RAM."""
    return psutil.Process(daemon.process.pid).memory_info().rss


def endless(daemon: Daemon) -> bytes:
    """A request whose answer is larger than what two kernels keep for a connection."""
    body = {
        "model": "test/endless",
        "messages": [{"role": "user", "content": "go"}],
        "stream": True,
        "max_tokens": 100_000,
        "logprobs": True,
        "top_logprobs": 20,
        "ignore_eos": True,
    }
    data = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data)
    )


def test_row_16_a_reader_that_takes_nothing_is_cut_and_its_generation_ends(hurried: Daemon) -> None:
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", hurried.port))
        line.sendall(endless(hurried))
        assert line.recv(100).startswith(b"HTTP/1.1 200 ")
        pause = threading.Event()
        assert any(not busy(hurried) or pause.wait(0.1) for _ in range(300))
        assert not whole(line).endswith(b"data: [DONE]\n\n")
    assert ask(hurried, "POST", "/v1/completions", HELLO).status == 200


def busy(daemon: Daemon) -> bool:
    return any(runner.get("in_use") for runner in ask(daemon, "GET", "/engines/ps").json)


def test_row_16_a_slow_reader_that_takes_something_is_served(hurried: Daemon) -> None:
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", hurried.port))
        line.sendall(b"GET /models/pilot/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got, pause = 0, threading.Event()
        for _ in range(20):  # four times as long as a reader may take nothing
            got += len(line.recv(20_000))
            pause.wait(0.2)
        while data := line.recv(1 << 20):
            got += len(data)
            if got > 5_000_000:
                break
    assert got > 5_000_000


def test_row_16_silent_connections_make_room_for_those_who_ask(hurried: Daemon) -> None:
    with ExitStack() as held:
        for _ in range(200):
            held.enter_context(connected(hurried))
        for _ in range(5):
            assert ask(hurried, "GET", "/health").status == 200


def test_row_16_too_many_at_work_are_refused_cleanly(hurried: Daemon) -> None:
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(connected(hurried, BODY))
        connection = http.client.HTTPConnection("127.0.0.1", hurried.port, timeout=30)
        held.callback(connection.close)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (503, b"too many connections\n")
        assert answer.headers["Retry-After"] == "1"
        # The owner of the machine still gets in.
        by_socket = {**hurried.env, "STOKER_HOST": f"unix://{hurried.home}/run/stoker.sock"}
        assert Daemon(hurried.home, 0, hurried.process, by_socket).cli("ps").returncode == 0


def test_row_16_ten_thousand_idle_connections(tmp_path_factory: pytest.TempPathFactory) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    try:
        with running_daemon(tmp_path_factory.mktemp("home")) as daemon, ExitStack() as held:
            for _ in range(count):
                line = held.enter_context(socket.socket())
                line.connect(("127.0.0.1", daemon.port))
            assert ask(daemon, "GET", "/health").status == 200
            assert daemon.cli("list").returncode == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
