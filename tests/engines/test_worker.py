"""The worker as a program: its exit codes, its guards, and its death with its parent."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stoker.engines import llamacpp_worker, tether

WORKER = Path(llamacpp_worker.__file__)
FAKE = Path(__file__).parents[1] / "components" / "fake_llama_server.py"

PARENT = """
import os, subprocess, sys, time
os.environ["STOKER_PARENT_PID"] = str(os.getpid())  # as the launcher does
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
time.sleep(600)
"""


def run(worker: Path, *arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-I", tether.__file__, str(worker), *arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.stdout == "", "stdout is nobody's: whatever prints goes to stderr"
    return ended.returncode, ended.stderr


def altered(tmp_path: Path, old: str, new: str, program: Path = WORKER) -> Path:
    text = program.read_text()
    assert old in text
    copy = tmp_path / program.name
    copy.write_text(text.replace(old, new))
    return copy


def test_bad_arguments() -> None:
    assert run(WORKER, "--nope") == (2, "error: invalid argument: --nope\n")
    code, text = run(WORKER)
    assert code == 2
    assert "E worker: params.model.path is required" in text


def test_no_model() -> None:
    code, text = run(WORKER, "--model", "/nowhere.gguf", "--offline")
    assert code == 3
    assert text.rstrip().endswith("exiting due to model loading error"), "the reason comes last"


def test_another_version_of_the_wheel(tmp_path: Path) -> None:
    worker = altered(tmp_path, llamacpp_worker.WHEEL_VERSION, "1.2.3")
    assert run(worker) == (
        4, f"0.00.000.000 E worker: xllamacpp is {llamacpp_worker.WHEEL_VERSION}, needed is 1.2.3\n"
    )  # fmt: skip


def test_a_wheel_without_the_parser(tmp_path: Path) -> None:
    code, text = run(altered(tmp_path, "_Z19common", "_Z19uncommon"))
    assert code == 4
    assert "E worker: xllamacpp does not export llama.cpp's argument parser" in text


def test_a_wheel_with_another_layout(tmp_path: Path) -> None:
    code, text = run(altered(tmp_path, "setattr(holder, field, marker)", "pass"))
    assert code == 4
    assert "lie in an unknown place" in text


def test_an_orphan_from_the_start_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, models: Path
) -> None:
    monkeypatch.setenv(tether.PARENT_VARIABLE, "1")
    assert run(WORKER, "--model", str(models / "chat.gguf")) == (5, "")
    ended = subprocess.run([*tether.tethered(["/bin/true"])], check=False)
    assert ended.returncode == 5


def test_the_version_is_the_one_we_depend_on() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"xllamacpp=={llamacpp_worker.WHEEL_VERSION}"' in pyproject


def test_the_tether_says_what_it_cannot_run() -> None:
    command = tether.tethered(["/nowhere/llama-server"])
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: /nowhere/llama-server cannot be run: No such file or directory\n"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("kind", ["worker", "worker as it starts", "worker on macOS", "tether"])
def test_parent_killed_engine_gone(kind: str, models: Path, run_dir: Path, tmp_path: Path) -> None:
    socket = run_dir / "e" / "e.sock"
    socket.parent.mkdir()
    program = Path(tether.__file__)
    if kind == "worker on macOS":
        program = altered(tmp_path, '_LINUX = sys.platform == "linux"', "_LINUX = 0", program)
    worker = [sys.executable, "-I", str(program), str(WORKER), "--model", str(models / "chat.gguf")]
    fake = [sys.executable, "-I", "-S", str(FAKE), "--socket", str(socket), "--ignore-term"]
    command = list(tether.tethered(fake)) if kind == "tether" else [*worker, "--host", str(socket)]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PARENT, *command],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        deadline = time.monotonic() + 10
        # As it starts, it may find its parent dead before it could ask to die with it.
        while kind != "worker as it starts" and not socket.is_socket():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        parent.send_signal(signal.SIGKILL)
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    shutil.rmtree(socket.parent)


def test_interrupt_is_a_clean_end_too(models: Path, run_dir: Path) -> None:
    socket = run_dir / "e.sock"
    command = [
        sys.executable,
        "-I",
        tether.__file__,
        str(WORKER),
        "--model",
        str(models / "chat.gguf"),
    ]
    with subprocess.Popen([*command, "--host", str(socket)], stderr=subprocess.DEVNULL) as worker:
        deadline = time.monotonic() + 10
        while not socket.is_socket():  # it listens before it loads
            assert time.monotonic() < deadline
            time.sleep(0.005)
        worker.send_signal(signal.SIGINT)  # may come while it loads; it is not lost
        assert worker.wait(10) == 0
    assert not socket.exists()
