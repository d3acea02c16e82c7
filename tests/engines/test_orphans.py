"""What a killed daemon left behind is found by its note, and nothing else is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.engines.launcher import LocalLauncher
from stoker.engines.orphans import note_of, reap_orphans, write_note
from tests.components.fake_engine import FakeEngine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def engine() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody's process in a group of its own."""
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, start_new_session=True) as process:
        yield process
        process.kill()


def test_an_orphan_is_killed_and_its_traces_removed(
    run_dir: Path, engine: subprocess.Popen[bytes]
) -> None:
    (run_dir / "e").mkdir()
    (run_dir / "e" / "e.sock").touch()
    write_note(run_dir / "e" / "e.sock", engine.pid)
    assert reap_orphans(run_dir) == 1
    assert engine.wait(5) == -9
    assert not list(run_dir.iterdir())


def test_a_reused_number_is_somebody_else(run_dir: Path, engine: subprocess.Popen[bytes]) -> None:
    note_of(run_dir / "e" / "e.sock").write_text(f"{engine.pid} 12345\n")
    assert reap_orphans(run_dir) == 0
    assert engine.poll() is None


@pytest.mark.parametrize("content", ["", "1", "what?", "-1 5", "0 0", "999999999 5", "1 1"])
def test_a_strange_note_kills_nobody(run_dir: Path, content: str) -> None:
    note_of(run_dir / "e" / "e.sock").write_text(content)
    assert reap_orphans(run_dir) == 0
    assert not list(run_dir.iterdir())


def test_nothing_there(run_dir: Path) -> None:
    assert reap_orphans(run_dir / "none") == 0
    write_note(run_dir / "e" / "e.sock", 999999999)


async def test_the_launcher_leaves_a_note_while_the_engine_runs(run_dir: Path) -> None:
    fake = FakeEngine()
    command = fake.command_for(run_dir / "e" / "e.sock")
    instance = await LocalLauncher().start(fake, command, label="tiny", log=lambda _line: None)
    assert note_of(instance.socket).read_text().startswith(f"{instance.pid} ")
    assert reap_orphans(run_dir) == 1
    assert await instance.wait() == -9
    await instance.stop()
