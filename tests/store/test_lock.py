import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stoker.base.errors import Locked
from stoker.store.lock import StoreLock

_HOLD = """
import sys, pathlib
sys.argv[0] = "/usr/bin/stoker"
from stoker.store.lock import StoreLock
with StoreLock(pathlib.Path(sys.argv[2])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, "pull", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def test_a_timeout_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as child:
        with (
            pytest.raises(Locked, match=rf"process {child.pid} \(stoker pull\) for"),
            StoreLock(path, timeout=0.01).held(),
        ):
            pytest.fail("two holders")
        child.kill()
    # The kernel gives the lock of a killed process back.
    with StoreLock(path, timeout=5).held():
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "lock", timeout=10)
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with lock.held():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_an_unreadable_note_is_no_trouble(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "lock", timeout=0.01)
    with lock.held():
        (tmp_path / "lock").write_text("?")
        with pytest.raises(Locked, match="an unknown process"), lock.held():
            pytest.fail("two holders")
