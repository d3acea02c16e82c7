"""HTTP as it is in life: slow, broken, refused. Both transports must say the same of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stoker.base.errors import DaemonError, ParseError, Unreachable
from stoker.client import async_transport, call, transport
from stoker.client.call import Lines, Request
from stoker.client.endpoint import Endpoint, endpoint_for
from stoker.client.failures import unwrap_error
from tests.client.conftest import Transports
from tests.components.stub_daemon import Stub, stub_daemon

MODELS = Request("GET", "/models")
LOGS = Request("GET", "/logs")
ROOT = Request("GET", "/")
VERSION = Request("GET", "/version")


@contextmanager
def raw_server(answer: bytes) -> Iterator[Endpoint]:
    """Sends these bytes to whoever comes and closes; for what no HTTP library would send."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # the listener is shut down
                while True:
                    link, _ = listener.accept()
                    with link:
                        link.recv(65536)
                        link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint("http", "127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_call_over_tcp(daemon: Stub, http: Transports) -> None:
    assert http.read(endpoint_for(daemon.url), VERSION) == b'{"version": "9.9"}\n'
    assert daemon.requests[0].headers["accept"] == "application/json"


def test_a_call_over_a_unix_socket(short_path: Path, http: Transports) -> None:
    with stub_daemon(unix=short_path / "s.sock") as stub:
        assert http.read(endpoint_for(stub.url), VERSION) == b'{"version": "9.9"}\n'
        assert stub.requests[0].headers["host"] == "localhost"


def test_a_prefix_before_every_route(daemon: Stub, http: Transports) -> None:
    request = Request("GET", "/version/a:b%20c@d", {"a": "b c"})
    with pytest.raises(DaemonError):
        http.read(endpoint_for(f"{daemon.url}/exp"), request)
    assert daemon.requests[0].path == "/exp/version/a:b c@d"
    assert daemon.requests[0].query == {"a": "b c"}


def test_a_body_in_pieces(daemon: Stub, http: Transports) -> None:
    """It is sent as it comes, and a refusal comes through."""
    request = Request("POST", "/nowhere", body=iter([b"a" * 1000] * 3))
    with pytest.raises(DaemonError, match="404"):
        http.read(endpoint_for(daemon.url), request)
    assert daemon.requests[0].headers["transfer-encoding"] == "chunked"


def test_a_refusal_in_plain_text_with_code_and_hint(daemon: Stub, http: Transports) -> None:
    headers = {"Stoker-Error": "does_not_fit", "Stoker-Hint": "try a smaller one"}
    daemon.fail["/models"] = (422, "needs 8 GB\n", headers)
    with pytest.raises(DaemonError) as caught:
        http.read(endpoint_for(daemon.url), MODELS)
    assert caught.value.message == "needs 8 GB"
    assert caught.value.status == 422
    assert caught.value.remote_code == "does_not_fit"
    assert caught.value.hint == "try a smaller one"


def test_a_refusal_in_an_openai_envelope_says_its_hint_once(daemon: Stub, http: Transports) -> None:
    text = '{"error": {"message": "no such model (pull it)", "code": "model_not_found"}}'
    daemon.fail["/v1/models"] = (404, text, {"Stoker-Hint": "pull it"})
    with pytest.raises(DaemonError) as caught:
        http.read(endpoint_for(daemon.url), Request("GET", "/v1/models"))
    assert (caught.value.message, caught.value.hint) == ("no such model", "pull it")
    assert caught.value.remote_code == "model_not_found"


def test_who_sends_elsewhere_has_done_nothing(daemon: Stub, http: Transports) -> None:
    """As a proxy does to whoever comes without TLS; an empty answer looks like a success."""
    there = "https://models.example/models"
    daemon.fail["/models"] = (301, "", {"Location": there})
    with pytest.raises(DaemonError, match=f"sends to {there} ") as caught:
        http.read(endpoint_for(daemon.url), MODELS)
    assert caught.value.status == 301
    assert daemon.paths() == ["GET /models"]


def test_a_refusal_without_a_word(daemon: Stub, http: Transports) -> None:
    daemon.fail["/models"] = (503, "", {})
    with pytest.raises(DaemonError, match="the daemon answered 503 Service Unavailable"):
        http.read(endpoint_for(daemon.url), MODELS)


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


def test_nobody_listens(http: Transports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="not running") as caught:
        http.read(Endpoint("http", "127.0.0.1", port), ROOT)
    assert caught.value.hint == "start it with: stoker serve"
    with pytest.raises(Unreachable, match=r"^nothing answers at") as caught:
        http.read(Endpoint("http", "127.0.0.1", port, origin="--openaiurl"), ROOT)
    assert caught.value.hint == "is --openaiurl right, and does that server run?"


def test_no_socket_file(tmp_path: Path, http: Transports) -> None:
    with pytest.raises(Unreachable, match="not running"):
        http.read(Endpoint("unix", path=str(tmp_path / "none.sock")), ROOT)


def test_an_answer_that_does_not_come(http: Transports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("http", "127.0.0.1", listener.getsockname()[1])
        with pytest.raises(Unreachable, match=r"no answer from .* within 0\.05 s"):
            http.read(endpoint, Request("GET", "/", timeout=0.05))


def test_a_stream_that_breaks_in_the_middle(daemon: Stub, http: Transports) -> None:
    daemon.cut_after = 1
    with pytest.raises(Unreachable, match="closed the connection in the middle"):
        http.pieces(endpoint_for(daemon.url), LOGS)
    assert b"".join(http.pieces(endpoint_for(daemon.url), LOGS)).count(b"\n") == 2


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
def test_half_an_answer_is_no_answer(answer: bytes, http: Transports) -> None:
    with raw_server(answer) as endpoint, pytest.raises(Unreachable):
        http.read(endpoint, ROOT)


def test_an_answer_that_ends_with_the_connection(http: Transports) -> None:
    with raw_server(b"HTTP/1.0 200 OK\r\n\r\nabc") as endpoint:
        assert http.read(endpoint, ROOT) == b"abc"


def test_pieces_arrive_as_they_are_sent(daemon: Stub, http: Transports) -> None:
    daemon.stall_after = 1
    # The second line never comes; were the first held back for it, this would hang.
    (first,) = http.pieces(endpoint_for(daemon.url), LOGS, count=1)
    assert first.endswith(b"one\n")
    assert daemon.gone.wait(5)


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "MAX_LINE", 100)
    with pytest.raises(ParseError, match="longer than"):
        Lines("test").feed(b"x" * 200)


def test_an_answer_without_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, http: Transports
) -> None:
    for module in (transport, async_transport):
        monkeypatch.setattr(module, "MAX_ANSWER", 100)
    with raw_server(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200) as endpoint, pytest.raises(ParseError):
        http.read(endpoint, ROOT)


def test_an_error_of_the_caller_stays_the_callers(daemon: Stub) -> None:
    with (
        pytest.raises(BrokenPipeError),
        transport.Transport(endpoint_for(daemon.url)).open(LOGS),
    ):
        raise BrokenPipeError


async def test_an_error_of_the_caller_stays_the_callers_in_asyncio(daemon: Stub) -> None:
    with pytest.raises(BrokenPipeError):
        async with async_transport.AsyncTransport(endpoint_for(daemon.url), "test").open(LOGS):
            raise BrokenPipeError


def test_the_key_is_sent(daemon: Stub, http: Transports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_API_KEY", "stk_x")
    http.read(endpoint_for(daemon.url), VERSION)
    assert daemon.requests[0].headers["authorization"] == "Bearer stk_x"
