"""The program run in this process against a stub daemon, with its output kept apart."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stoker.base.paths import paths_of
from stoker.cli.main import run
from stoker.client.running import running
from tests.components.daemon import free_port
from tests.components.stub_daemon import SMOLLM2, Stub, stub_daemon


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Stoker = Callable[..., Outcome]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the developer's, no daemon of the developer's, no home of the developer's."""
    for name in (
        "MODEL_RUNNER_HOST", "STOKER_HOST", "MODELS_PATH", "XDG_RUNTIME_DIR", "HF_TOKEN",
        "DOCKER_CONFIG", "DEFAULT_REGISTRY", "MODEL_RUNNER_TLS", "DOCKER_MODEL_NOHISTORY",
        "MODEL_RUNNER_PORT", "STOKER_LISTEN_HOST",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STOKER_HOME", str(tmp_path / "stoker"))
    monkeypatch.setenv("MODEL_RUNNER_NO_AUTO_INSTALL", "1")


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with stub_daemon() as stub:
        stub.models.append(dict(SMOLLM2))
        monkeypatch.setenv("STOKER_HOST", stub.url)
        yield stub


@pytest.fixture
def stoker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stoker:
    def call(*argv: str, stdin: str = "", program: str = "stoker") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run(argv, program)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def home() -> Iterator[Path]:
    """A data directory for a daemon of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="st", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()
        found = running(paths_of({"STOKER_HOME": name}))
        if found is not None:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(found.pid)
                os.kill(found.pid, signal.SIGKILL)
                process.wait(10)


@pytest.fixture
def stoker_process(home: Path) -> Run:
    """The program as a process of its own, allowed to start a daemon."""
    paths_of({"STOKER_HOME": str(home)}).runner.write_text(json.dumps({"port": free_port()}))

    def run_process(
        *argv: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        own = {**os.environ, "STOKER_HOME": str(home), **(env or {})}
        del own["MODEL_RUNNER_NO_AUTO_INSTALL"]
        command = [sys.executable, "-m", "stoker.cli.main", *argv]
        return subprocess.run(
            command, env=own, capture_output=True, text=True, timeout=60, check=False
        )

    return run_process
