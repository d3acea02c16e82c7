"""What is uninstalled is gone at once, and deleted after that, also by a later daemon."""

import asyncio
import threading
from pathlib import Path

import pytest

from stoker.base.errors import StorageError
from stoker.engines.trash import delete, deleted, discard, discarded


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """With links out of it, and a file that nobody may write."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    build = tmp_path / "engines" / "vllm" / "cpu-1"
    for number in range(20):
        (build / "lib" / f"{number}").mkdir(parents=True)
        (build / "lib" / f"{number}" / "x.py").touch(0o444)
    (build / "lib64").symlink_to("lib")
    (build / "lib" / "out").symlink_to(outside)
    (build / "lib" / "nowhere").symlink_to("/no/such/place")
    return build


def files_of(path: Path) -> int:
    """Links to directories count as files."""
    return sum(one.is_symlink() or one.is_file() for one in path.rglob("*"))


async def test_gone_at_once_and_deleted_later(build: Path, tmp_path: Path) -> None:
    root = tmp_path / "engines"
    discard(root, build)
    (path,) = discarded(root)
    assert files_of(path) == 23
    assert files_of(build) == 0
    await deleted(path)
    assert discarded(root) == ()
    assert files_of(tmp_path / "outside") == 1
    await deleted(path)
    discard(root, build)
    assert discarded(root) == ()


async def test_a_daemon_that_ends_does_not_wait_for_it(build: Path, tmp_path: Path) -> None:
    root = tmp_path / "engines"
    discard(root, build)
    (path,) = discarded(root)
    deleting = asyncio.create_task(deleted(path))
    await asyncio.sleep(0)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    stop = threading.Event()
    stop.set()
    delete(path, stop)
    delete(path, threading.Event())
    assert discarded(root) == ()


def test_a_link_and_a_file_are_no_directories(build: Path, tmp_path: Path) -> None:
    root = tmp_path / "engines"
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "file").touch()
    for name in ("link", "file"):
        discard(root, root / name)
    for path in discarded(root):
        delete(path, threading.Event())
    assert discarded(root) == ()
    assert (tmp_path / "outside" / "mine").exists()


def test_what_cannot_be_moved_is_said(tmp_path: Path) -> None:
    (tmp_path / "engines").touch()
    with pytest.raises(StorageError, match=r"cannot remove .*/vllm"):
        discard(tmp_path / "engines", tmp_path / "engines" / "vllm")
