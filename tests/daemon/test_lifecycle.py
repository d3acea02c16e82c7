"""One daemon for each directory, and sockets only this user can reach."""

import os
import socket
import stat
from pathlib import Path

import pytest

from stoker.base.errors import Locked, StorageError
from stoker.daemon.lifecycle import Running, listen_tcp, listen_unix, single_instance

ME = Running(os.getpid(), "http://127.0.0.1:1", "/run/s.sock", "0")


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "daemon.lock"
    second = single_instance(lock, ME)
    with single_instance(lock, ME), pytest.raises(Locked, match=f"pid {os.getpid()}"), second:
        pass
    with single_instance(lock, ME):
        pass


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="cannot write"),
        single_instance(tmp_path / "file" / "daemon.lock", ME),
    ):
        pass


def test_a_port_in_use_suggests_another() -> None:
    with listen_tcp("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Locked, match=f"port {port} on 127.0.0.1") as caught:
            listen_tcp("127.0.0.1", port)
    assert str(port + 1) in str(caught.value.hint)


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(StorageError, match=r"cannot listen on 192\.0\.2\.1:1234"):
        listen_tcp("192.0.2.1", 1234)


def test_the_unix_socket_is_private_and_replaces_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s.sock"
    listen_unix(path).close()
    assert path.exists()
    with listen_unix(path), socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client.connect(str(path))


def test_a_directory_that_somebody_else_made_where_all_may_is_not_used(tmp_path: Path) -> None:
    """As /tmp is, where sockets lie whose own place is too deep for them."""
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    everybodys.chmod(0o1777)
    mine, open_to_all, link = (everybodys / name for name in ("mine", "open", "link"))
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    listen_unix(mine / "s.sock").close()
    for squatted in (open_to_all, link):
        with pytest.raises(StorageError, match="may be somebody else's"):
            listen_unix(squatted / "s.sock")
        assert not (squatted / "s.sock").exists()
