"""Progress where nobody can see bars, and what happens when the line drops."""

from collections.abc import Iterator

import pytest

from stoker import Client
from stoker.base.errors import DaemonError, Unreachable
from stoker.cli import progress, transfer
from stoker.client.endpoint import parse_endpoint
from stoker.wire.manage import ERROR_CODE_HEADER, Progress, ProgressLayer
from tests.components.stub_daemon import Stub


def moved(current: int, layer: str = "sha256:aa") -> Progress:
    return Progress("progress", "Downloaded", 10_000_000, ProgressLayer(10_000_000, current, layer))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """`clock[0]` is the time."""
    now = [100.0]
    monkeypatch.setattr("stoker.cli.progress.time.monotonic", lambda: now[0])
    return now


def test_lines_are_dockers_but_fewer(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    def records() -> Iterator[Progress]:
        for step in range(10):
            clock[0] += 0.3
            yield moved(step * 1_000_000)
        yield moved(10_000_000)
        yield Progress("warning", "slow disk")
        yield Progress("progress", "Fetching file list...")
        yield Progress("success", "Model pulled successfully")

    assert progress.show(records()) == "Model pulled successfully"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Downloaded 0.00B of 10.00MB",
        "Downloaded 4.00MB of 10.00MB",
        "Downloaded 8.00MB of 10.00MB",
        "Downloaded 10.00MB of 10.00MB",
        "Warning: slow disk",
        "Fetching file list...",
    ]


def test_every_layer_has_its_own_patience(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress.show([moved(1, "a"), moved(2, "b"), moved(3, "a"), moved(4, "b")])
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_push_says_uploaded(capsys: pytest.CaptureFixture[str]) -> None:
    record = moved(10_000_000)
    record.mode = "push"
    progress.show([record])
    assert capsys.readouterr().err == "Uploaded 10.00MB of 10.00MB\n"


def test_bars_that_are_complete_scroll_away(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("LINES", "4")
    monkeypatch.setenv("COLUMNS", "60")
    with progress._renderer() as bars:
        for name in "abcd":
            clock[0] += 1
            bars.update(moved(5_000_000, name))
        drawn = capsys.readouterr().err.rpartition("\x1b[J")[2]
        # Two of four: as many as can be erased again on a screen of four lines.
        assert drawn.splitlines() == [
            "a: Downloading [============>            ] 5.00MB/10.00MB",
            "b: Downloading [============>            ] 5.00MB/10.00MB",
        ]
        bars.update(moved(10_000_000, "b"))
    last = capsys.readouterr().err
    assert last.startswith("\x1b[2F\x1b[Jb: Pull complete 10.00MB\na: Downloading")


def test_rate_and_time_left(clock: list[float]) -> None:
    layer = progress._Layer()
    for step in range(11):
        clock[0] += 1
        layer.move(100_000_000, step * 2_000_000, clock[0])
    # Over the last five seconds: 2 MB each, 80 MB to go.
    assert progress._speed(layer) == "  2.00MB/s  0:40 left"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; none of them takes time."""
    made: list[float] = []
    monkeypatch.setattr("stoker.cli.transfer.time.sleep", made.append)
    return made


def client_of(daemon: Stub) -> Client:
    return Client(parse_endpoint(daemon.url, origin="test"))


def test_a_broken_pull_is_tried_again(
    daemon: Stub, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.cut_after = 2
    assert transfer.pull(client_of(daemon), "x") == "Model pulled successfully"
    assert waits == [1]
    assert "Retrying download (attempt 1/4) in 1s..." in capsys.readouterr().err
    assert daemon.paths() == ["POST /models/create"] * 2


@pytest.mark.parametrize(
    ("code", "made"),
    [("connection_broken", [1, 2, 4, 8]), ("busy", [1, 2, 4, 8]), ("unreachable", [])],
)
def test_only_what_may_pass_is_tried_again(
    daemon: Stub, waits: list[float], code: str, made: list[int]
) -> None:
    daemon.fail["/models/create"] = (502, "no way there\n", {ERROR_CODE_HEADER: code})
    with pytest.raises(DaemonError, match=r"502 Bad Gateway: no way there"):
        transfer.pull(client_of(daemon), "x")
    assert waits == made


def test_trouble_in_between_is_tried_five_times(daemon: Stub, waits: list[float]) -> None:
    daemon.fail["/models/create"] = (503, "busy\n", {})
    with pytest.raises(DaemonError, match=r"503 Service Unavailable: busy"):
        transfer.pull(client_of(daemon), "x")
    assert waits == [1, 2, 4, 8]
    assert len(daemon.requests) == 5


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_refusal_is_final(daemon: Stub, waits: list[float], status: int) -> None:
    daemon.fail["/models/create"] = (status, "no\n", {})
    with pytest.raises(DaemonError):
        transfer.pull(client_of(daemon), "x")
    assert waits == []


def test_what_the_daemon_has_tried_itself_is_final(daemon: Stub, waits: list[float]) -> None:
    daemon.fail["/models/create"] = (502, "no\n", {"Stoker-Error": "registry_error"})
    with pytest.raises(DaemonError):
        transfer.pull(client_of(daemon), "x")
    assert waits == []


def test_nobody_there_is_final(waits: list[float]) -> None:
    client = Client(parse_endpoint("unix:///nowhere/x.sock", origin="test"))
    with pytest.raises(Unreachable):
        transfer.push(client, "x")
    assert waits == []
