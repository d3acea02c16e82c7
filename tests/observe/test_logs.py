"""Files whose lines are written together."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.observe import logs
from stoker.observe.logs import EngineLog, HeldFile, engine_log_file


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


@pytest.fixture
def logger(path: Path) -> Iterator[logging.Logger]:
    """Writes to a held file at `path`."""
    logger = logging.getLogger("stoker.tests.held")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    file = HeldFile(path)
    logger.addHandler(file)
    yield logger
    logger.removeHandler(file)
    file.close()


async def test_lines_are_held_for_a_moment(logger: logging.Logger, path: Path) -> None:
    logger.info("one")
    logger.info("two")
    assert text(path) == ""
    await asyncio.sleep(0.3)
    assert text(path) == "one\ntwo\n"
    logger.info("three")
    logger.handlers[0].close()
    assert text(path) == "one\ntwo\nthree\n"


async def test_a_warning_is_written_at_once_and_in_order(
    logger: logging.Logger, path: Path
) -> None:
    logger.info("before")
    logger.warning("fire")
    assert text(path) == "before\nfire\n"


async def test_a_thread_has_nobody_to_wake_it(logger: logging.Logger, path: Path) -> None:
    thread = threading.Thread(target=logger.info, args=("from a thread",))
    thread.start()
    thread.join()
    assert text(path) == "from a thread\n"


def test_a_file_that_is_full_makes_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MAX_BYTES", 1000)
    file = HeldFile(path)
    for number in range(100):
        file.hold(f"{number:03d} " + "x" * 100, now=True)
    file.close()
    kept = [*path.with_name("a.log.1").read_text().split("\n"), *path.read_text().split("\n")]
    assert max(kept).startswith("099")
    assert {p.name for p in path.parent.iterdir()} == {"a.log", "a.log.1", "a.log.2"}
    assert all(p.stat().st_size <= 1000 for p in path.parent.iterdir())


def test_each_engine_has_a_file(tmp_path: Path) -> None:
    log = EngineLog(tmp_path, "text")
    log("llama.cpp", "pilot", "hello")
    log("vllm", "other", "there")
    log.flush()
    assert engine_log_file(tmp_path, "llama.cpp").read_text().endswith(" pilot: hello\n")
    assert engine_log_file(tmp_path, "vllm").read_text().endswith(" other: there\n")
    log.close()
