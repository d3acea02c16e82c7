"""An engine killed, hung, slow or lying, at every stage of a request: a typed error in its place.

Afterwards the daemon serves the next request, and no process is left of the old one.
"""

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.components.faulty_daemon import FaultyDaemon, faulty_daemon
from tests.components.http import Reply, ask
from tests.components.processes import freeze

BODY = {"model": "pilot", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDaemon]:
    with faulty_daemon(tmp_path_factory.mktemp("home")) as faulty:
        yield faulty


@pytest.fixture
def faults(faulty: FaultyDaemon) -> Iterator[Callable[[str], None]]:
    """Say which faults the next engine has. Afterwards a good one must answer, and be alone."""
    faulty.daemon.cli("unload", "--all")

    def have(flags: str) -> None:
        faulty.faults.write_text(flags)

    yield have
    faulty.faults.write_text("")
    faulty.daemon.cli("unload", "--all")
    good = until_ok(faulty)
    assert good.json["choices"][0]["message"]["content"] == "t0 t1 t2 t3 t4"
    assert len(faulty.daemon.engine_pids()) == 1


def until_ok(faulty: FaultyDaemon) -> Reply:
    """An engine that failed in a row gets a pause: then the answer says when to come again."""
    deadline = time.monotonic() + 60
    while True:
        reply = ask(faulty.daemon, "POST", PATH, BODY)
        if reply.status == 200 or time.monotonic() > deadline:
            assert reply.status == 200, reply.body
            return reply
        assert reply.json["error"]["message"]
        time.sleep(0.1)


def refused(reply: Reply) -> str:
    """The message of a typed error."""
    assert reply.status >= 500, (reply.status, reply.body)
    error = reply.json["error"]
    assert error["code"]
    return str(error["message"])


def events(body: bytes) -> list[dict[str, object]]:
    lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("--exit-code 1", "cannot be loaded"),
        ("--exit-code 0", "cannot be loaded"),
        ("--die-by SIGKILL", "cannot be loaded"),
        ("--die-by SIGSEGV", "cannot be loaded"),
        ("--noise 50000 --exit-code 3", "cannot be loaded"),
    ],
)
def test_it_dies_as_it_starts(
    faulty: FaultyDaemon, faults: Callable[[str], None], fault: str, text: str
) -> None:
    faults(fault)
    assert text in refused(ask(faulty.daemon, "POST", PATH, BODY))
    assert faulty.daemon.engine_pids() == []


@pytest.mark.parametrize("fault", ["--garbage", "--short"])
def test_it_lies_in_a_whole_answer(
    faulty: FaultyDaemon, faults: Callable[[str], None], fault: str
) -> None:
    faults(fault)
    reply = ask(faulty.daemon, "POST", PATH, BODY)
    assert refused(reply)


@pytest.mark.parametrize("fault", ["--crash-after 0", "--crash-after 3", "--drop-after 3"])
def test_it_dies_or_hangs_up_in_a_stream(
    faulty: FaultyDaemon, faults: Callable[[str], None], fault: str
) -> None:
    """What was sent stays sent; the last event is the error, so that nobody takes it for whole."""
    faults(fault)
    line = http.client.HTTPConnection("127.0.0.1", faulty.daemon.port, timeout=30)
    body = json.dumps({**BODY, "stream": True})
    line.request("POST", PATH, body, {"Content-Type": "application/json"})
    answer = line.getresponse()
    with pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()
    line.close()
    *parts, last = events(cut.value.partial)
    assert len(parts) == int(fault[-1])
    assert "error" in last
    assert b"[DONE]" not in cut.value.partial


def test_it_says_what_is_no_answer(faulty: FaultyDaemon, faults: Callable[[str], None]) -> None:
    """Where it is translated; an engine's own dialect passes unread."""
    faults("--babble 3")
    data = json.dumps(BODY).encode()
    with socket.create_connection(("127.0.0.1", faulty.daemon.port), timeout=30) as line:
        line.sendall(b"POST /api/chat HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))
        got = b""
        with suppress(ConnectionResetError):
            while piece := line.recv(65536):
                got += piece
    *parts, last = [json.loads(line) for line in got.partition(b"\r\n\r\n")[2].splitlines()]
    assert "t0 t1 t2 ".startswith("".join(part["message"]["content"] for part in parts))
    assert "no answer" in last["error"]
    reply = ask(faulty.daemon, "POST", "/api/chat", {**BODY, "stream": False})
    assert (reply.status, "no answer" in reply.json["error"]) == (500, True)


def test_it_hangs_up_between_requests_and_nobody_notices(
    faulty: FaultyDaemon, faults: Callable[[str], None]
) -> None:
    faults("--once --pause 0.05")
    with ThreadPoolExecutor(4) as pool:
        # So many connections are idle afterwards, and none of them will do.
        stream = {**BODY, "stream": True}
        answers = list(pool.map(lambda _: ask(faulty.daemon, "POST", PATH, stream), range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    (engine,) = faulty.daemon.engine_pids()
    assert ask(faulty.daemon, "POST", PATH, BODY).status == 200
    assert faulty.daemon.engine_pids() == [engine]


def test_it_is_slow_to_load_and_everybody_waits_for_one(
    faulty: FaultyDaemon, faults: Callable[[str], None]
) -> None:
    faults("--loading 1")
    lines = [http.client.HTTPConnection("127.0.0.1", faulty.daemon.port) for _ in range(60)]
    for line in lines:
        line.request("POST", PATH, json.dumps(BODY), {"Content-Type": "application/json"})
    assert [line.getresponse().status for line in lines] == [200] * 60
    for line in lines:
        line.close()
    assert len(faulty.daemon.engine_pids()) == 1


def test_it_stalls_in_a_stream_and_the_client_gives_up(
    faulty: FaultyDaemon, faults: Callable[[str], None]
) -> None:
    faults("--stall-after 2 --ignore-term")
    line = http.client.HTTPConnection("127.0.0.1", faulty.daemon.port, timeout=30)
    body = json.dumps({**BODY, "stream": True})
    line.request("POST", PATH, body, {"Content-Type": "application/json"})
    assert line.getresponse().readline().startswith(b"data: ")
    (engine,) = faulty.daemon.engine_pids()
    line.close()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(engine):  # idle as soon as the client is gone, then stopped by force
        assert time.monotonic() < deadline
        faulty.daemon.cli("unload", "--all")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_it_is_killed_while_idle(
    faulty: FaultyDaemon, faults: Callable[[str], None], number: signal.Signals
) -> None:
    faults("")
    assert ask(faulty.daemon, "POST", PATH, BODY).status == 200
    (engine,) = faulty.daemon.engine_pids()
    os.kill(engine, number)
    assert until_ok(faulty).status == 200
    while engine in faulty.daemon.engine_pids():
        time.sleep(0.01)  # a signal is sent, not yet obeyed: it may have answered once more


def test_it_is_killed_while_it_loads(faulty: FaultyDaemon, faults: Callable[[str], None]) -> None:
    faults("--loading 30")
    line = http.client.HTTPConnection("127.0.0.1", faulty.daemon.port, timeout=30)
    line.request("POST", PATH, json.dumps(BODY), {"Content-Type": "application/json"})
    deadline = time.monotonic() + 20
    while not (engines := [pid for pid in faulty.daemon.engine_pids() if _serves(pid)]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(engines[0], signal.SIGKILL)
    answer = line.getresponse()
    assert refused(Reply(answer.status, {}, answer.read()))
    line.close()


def _serves(pid: int) -> bool:
    """Whether it is to answer on a socket, and was not started to say its version and devices."""
    try:
        return b"e.sock" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_a_crash_loop_is_slowed_down(faulty: FaultyDaemon, faults: Callable[[str], None]) -> None:
    faults("--exit-code 1")
    answers = [ask(faulty.daemon, "POST", PATH, BODY) for _ in range(30)]
    assert all(refused(answer) for answer in answers)
    log = (faulty.daemon.home / "logs" / "stoker.log").read_text()
    assert log.count("engine started") < 30 + 20, "most were told to wait, without a start"


def test_management_goes_on_while_an_engine_is_frozen(
    faulty: FaultyDaemon, faults: Callable[[str], None]
) -> None:
    faults("")
    assert ask(faulty.daemon, "POST", PATH, BODY).status == 200
    (engine,) = faulty.daemon.engine_pids()
    freeze(engine)
    for path in ("/models", "/engines/ps", "/health", "/engines/df", "/v1/models", "/metrics"):
        assert ask(faulty.daemon, "GET", path).status == 200
    assert faulty.daemon.cli("unload", "--all").returncode == 0
    deadline = time.monotonic() + 20
    while psutil.pid_exists(engine):
        assert time.monotonic() < deadline
        time.sleep(0.05)
