"""HTTP as it is in life: slow, broken, refused."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stoker import __version__
from stoker.base.errors import DaemonError, ParseError, Unreachable
from stoker.client import transport
from stoker.client.endpoint import Endpoint, parse_endpoint
from stoker.client.transport import Transport, unwrap_error
from tests.components.stub_daemon import Stub, stub_daemon


def transport_of(stub: Stub) -> Transport:
    return Transport(parse_endpoint(stub.url, origin="test"))


@contextmanager
def raw_server(answer: bytes) -> Iterator[Endpoint]:
    """Sends these bytes to one client and closes; for what no HTTP library would send."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65536)
                link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint("http", "127.0.0.1", listener.getsockname()[1])
        thread.join()


def test_a_call_over_tcp(daemon: Stub) -> None:
    assert transport_of(daemon).call("GET", "/version") == b'{"version": "9.9"}\n'
    assert daemon.requests[0].headers["user-agent"] == f"stoker-cli/{__version__}"
    assert daemon.requests[0].headers["accept"] == "application/json"


def test_a_call_over_a_unix_socket(short_path: Path) -> None:
    with stub_daemon(unix=short_path / "s.sock") as stub:
        assert transport_of(stub).call("GET", "/version") == b'{"version": "9.9"}\n'
        assert stub.requests[0].headers["host"] == "localhost"


def test_a_prefix_before_every_route(daemon: Stub) -> None:
    endpoint = parse_endpoint(f"{daemon.url}/exp", origin="test")
    with pytest.raises(DaemonError):
        Transport(endpoint).call("GET", "/version", query={"a": "b c"})
    assert daemon.requests[0].path == "/exp/version"
    assert daemon.requests[0].query == {"a": "b c"}


def test_a_refusal_in_plain_text_with_code_and_hint(daemon: Stub) -> None:
    headers = {"Stoker-Error": "does_not_fit", "Stoker-Hint": "try a smaller one"}
    daemon.fail["/models"] = (422, "needs 8 GB\n", headers)
    with pytest.raises(DaemonError) as caught:
        transport_of(daemon).call("GET", "/models")
    assert caught.value.message == "needs 8 GB"
    assert caught.value.status == 422
    assert caught.value.remote_code == "does_not_fit"
    assert caught.value.hint == "try a smaller one"


def test_a_refusal_in_an_openai_envelope_says_its_hint_once(daemon: Stub) -> None:
    text = '{"error": {"message": "no such model (pull it)", "code": "model_not_found"}}'
    daemon.fail["/v1/models"] = (404, text, {"Stoker-Hint": "pull it"})
    with pytest.raises(DaemonError) as caught:
        transport_of(daemon).call("GET", "/v1/models")
    assert (caught.value.message, caught.value.hint) == ("no such model", "pull it")
    assert caught.value.remote_code == "model_not_found"


def test_a_refusal_without_a_word(daemon: Stub) -> None:
    daemon.fail["/models"] = (503, "", {})
    with pytest.raises(DaemonError, match="the daemon answered 503 Service Unavailable"):
        transport_of(daemon).call("GET", "/models")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"error": "ollama says no"}', "ollama says no"),
        ('{"other": 1}', '{"other": 1}'),
        ("[1]", "[1]"),
        ("plain\n", "plain"),
    ],
)
def test_error_bodies(text: str, message: str) -> None:
    assert unwrap_error(text) == (message, "")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="not running") as caught:
        Transport(Endpoint("http", "127.0.0.1", port)).call("GET", "/")
    assert caught.value.hint == "start it with: stoker serve"


def test_no_socket_file(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="not running"):
        Transport(Endpoint("unix", path=str(tmp_path / "none.sock"))).call("GET", "/")


def test_an_answer_that_does_not_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("http", "127.0.0.1", listener.getsockname()[1])
        with pytest.raises(Unreachable, match=r"no answer from .* within 0\.05 s"):
            Transport(endpoint).call("GET", "/", timeout=0.05)


def test_a_stream_that_breaks_in_the_middle(daemon: Stub) -> None:
    daemon.cut_after = 1
    lines: list[bytes] = []
    with (
        pytest.raises(Unreachable, match="closed the connection in the middle"),
        transport_of(daemon).stream("GET", "/logs") as stream,
    ):
        lines.extend(stream.lines())
    with transport_of(daemon).stream("GET", "/logs") as stream:
        assert [line[-3:] for line in stream.lines()] == [b"one", b"two"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_half_an_answer_is_no_answer(answer: bytes) -> None:
    with raw_server(answer) as endpoint, pytest.raises(Unreachable):
        Transport(endpoint).call("GET", "/")


def test_an_answer_that_ends_with_the_connection() -> None:
    with raw_server(b"HTTP/1.0 200 OK\r\n\r\nabc") as endpoint:
        assert Transport(endpoint).call("GET", "/") == b"abc"


def test_lines_arrive_as_they_are_sent(daemon: Stub) -> None:
    daemon.stall_after = 1
    with transport_of(daemon).stream("GET", "/logs") as stream:
        # The second line never comes; were the first held back for it, this would hang.
        assert next(stream.lines()).endswith(b"one")
    assert daemon.gone.wait(5)


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MAX_LINE", 100)
    with (
        raw_server(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200) as endpoint,
        pytest.raises(ParseError, match="longer than"),
        Transport(endpoint).stream("GET", "/") as stream,
    ):
        list(stream.lines())


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MAX_ANSWER", 100)
    with raw_server(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200) as endpoint, pytest.raises(ParseError):
        Transport(endpoint).call("GET", "/")


def test_an_error_of_the_caller_stays_the_callers(daemon: Stub) -> None:
    with pytest.raises(BrokenPipeError), transport_of(daemon).stream("GET", "/logs"):
        raise BrokenPipeError
