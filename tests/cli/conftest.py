"""The program run in this process against a stub daemon, with its output kept apart."""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stoker.cli.main import run
from tests.components.stub_daemon import SMOLLM2, Stub, stub_daemon


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Stoker = Callable[..., Outcome]


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
