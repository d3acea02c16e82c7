"""Whose store a command may work on itself, and the progress of such work."""

import io
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from stoker.base.errors import UserError
from stoker.cli.local import local_root, open_local
from stoker.cli.meter import meter


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """As `surroundings` sets it."""
    home = tmp_path / "stoker"
    home.mkdir()
    return home


def daemon(home: Path, port: int, **more: str) -> None:
    """The lock file of a daemon that lives: this process will do."""
    lock = {"pid": os.getpid(), "address": f"http://0.0.0.0:{port}", "socket": "", **more}
    (home / "daemon.lock").write_text(json.dumps(lock))


def test_the_own_socket_means_the_own_store(home: Path) -> None:
    assert local_root() == home / "models"


def test_a_store_elsewhere_on_this_disk(home: Path, tmp_path: Path) -> None:
    daemon(home, 1, models=str(tmp_path / "big-disk"))
    assert local_root() == tmp_path / "big-disk"


def test_a_running_daemon_by_its_port(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon(home, 4321)
    for host, ours in (
        ("http://127.0.0.1:4321", True),
        ("http://localhost:4321", True),
        ("http://[::1]:4321", True),
        ("http://127.0.0.1:4322", False),
        ("http://192.0.2.1:4321", False),
        ("unix:///elsewhere.sock", False),
    ):
        monkeypatch.setenv("STOKER_HOST", host)
        assert (local_root() is not None) is ours, host


def test_somebody_elses_daemon_on_the_usual_port(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOKER_HOME")
    monkeypatch.setattr("stoker.client.endpoint.DEFAULT_PORT", _free())
    assert local_root() is not None, "nobody there: ours will be started"
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr("stoker.client.endpoint.DEFAULT_PORT", other.getsockname()[1])
        assert local_root() is None
        with pytest.raises(UserError, match="not the service of this user"):
            open_local("verify")


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Screen(io.StringIO):
    """A terminal to write to."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, seconds: float) -> str:
    """What a meter shows of 100 MB that take so long."""
    clock = iter([0.0, *(seconds * step / 10 for step in range(1, 11))])
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("stoker.cli.meter.time.monotonic", lambda: next(clock))
    with meter("Reading", 100_000_000) as shown:
        for _ in range(10):
            shown.add(10_000_000)
    return screen.getvalue()


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, Screen(), 0.9) == ""
    assert drawn(monkeypatch, io.StringIO(), 0.9) == ""


def test_long_work_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, Screen(), 10.0)
    assert "\r\x1b[KReading 50%  50.00MB of 100.00MB  10.00MB/s" in text
    assert text.endswith("\r\x1b[K"), "the line goes away"


def test_long_work_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, io.StringIO(), 10.0)
    assert "\r" not in text
    assert [line.split()[1] for line in text.splitlines()] == ["10%", "60%"]
