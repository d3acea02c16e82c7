"""`package --quantize` with the real quantizer, and its results on a real llama.cpp."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from stoker.base.errors import StorageError
from stoker.distribution.quantize import plan_quantization, quantize
from tests.components.daemon import STOKER, Daemon, running_daemon
from tests.components.tiny_models import chat_model

TABLE = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-F16.gguf"
    return chat_model(path, width=256, kind=Kind.F16)


@pytest.fixture(scope="module")
def program(daemon: Daemon) -> Path:
    """The quantizer, installed as a user would who wants it early."""
    done = daemon.cli("install-runner", "--backend", "quantizer", timeout=300)
    assert done.stdout == "quantizer b9190 (cpu) installed\n", done.stderr
    build = next(one for one in builds(daemon) if one["backend"] == "quantizer")
    return Path(str(build["path"])) / "bin" / "llama-quantize"


def builds(daemon: Daemon) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(daemon.cli("status", "--json").stdout)["builds"]
    return found


def left(daemon: Daemon) -> list[Path]:
    """What is left of quantized files outside of the store."""
    return list((daemon.home / "cache" / "quantize").iterdir())


def test_it_is_installed_at_first_use(daemon: Daemon, whole: Path) -> None:
    daemon.cli("uninstall-runner", "--backend", "quantizer")
    done = daemon.cli(
        "package", "--gguf", str(whole), "--quantize", "q8_0", "me/first", timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "installing a quantizer first; it is kept" in done.stderr
    again = daemon.cli("package", "--gguf", str(whole), "--quantize", "Q8_0", "me/again")
    # The same file makes the same model, and the quantizer is there.
    assert again.stdout.replace("again", "first") == done.stdout
    assert again.stderr == ""
    assert left(daemon) == []


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("level", TABLE)
def test_the_whole_table_loads_and_answers(daemon: Daemon, whole: Path, level: str) -> None:
    name = f"me/tiny:{level}"
    done = daemon.cli("package", "--gguf", str(whole), "--quantize", level, name)
    assert done.returncode == 0, done.stderr
    config = json.loads(daemon.cli("inspect", name).stdout)["config"]
    assert config["quantization"] == level
    assert (config["format"], config["parameters"]) == ("gguf", "1.05M")
    answer = daemon.cli("run", name, "hello")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip().isprintable()
    assert len(answer.stdout.strip()) > 10


@pytest.mark.usefixtures("program")
def test_a_model_that_is_here(daemon: Daemon, whole: Path, tmp_path: Path) -> None:
    licence = tmp_path / "LICENSE"
    licence.write_text("Be nice.\n")
    made = daemon.cli("package", "--gguf", str(whole), "-l", str(licence), "me/origin:f16")
    assert made.returncode == 0, made.stderr
    smaller = ("package", "--from", "me/origin:f16", "--quantize", "Q4_K_M", "--json")
    done = daemon.cli(*smaller, "--context-size", "512", "me/origin:q4")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    names = [layer["annotations"]["org.cncf.model.filepath"] for layer in result["layers"]]
    assert names == ["tiny-Q4_K_M.gguf", "LICENSE"]
    assert result["config"]["context_size"] == 512
    cncf = daemon.cli(*smaller, "--format", "cncf", "me/origin:cncf")
    assert json.loads(cncf.stdout)["config"]["quantization"] == "Q4_K_M", cncf.stderr
    twice = daemon.cli("package", "--from", "me/origin:q4", "--quantize", "Q2_K", "me/x")
    assert "is quantized already" in twice.stderr


@pytest.mark.usefixtures("program")
def test_rows_that_do_not_fit_are_told(daemon: Daemon, tmp_path: Path) -> None:
    mixed = chat_model(tmp_path / "m.gguf", width=256, feed_forward=320, kind=Kind.BF16)
    done = daemon.cli("package", "--gguf", str(mixed), "--quantize", "Q4_K_M", "me/mixed")
    assert done.returncode == 0, done.stderr
    assert "note: 2 tensors have rows that Q4_K_M cannot hold" in done.stderr
    assert daemon.cli("run", "me/mixed", "hello").stdout.strip()


def test_progress_counts_the_source(program: Path, whole: Path, tmp_path: Path) -> None:
    plan = plan_quantization(whole, "Q4_0")
    counts: list[int] = []
    assert quantize(program, plan, tmp_path / "out.gguf", done=counts.append) == ()
    assert len(counts) > 10
    # llama-quantize says two digits behind the point.
    assert 0.9 < sum(counts) / plan.weights <= 1
    assert (tmp_path / "out.gguf").stat().st_size < whole.stat().st_size / 2


def test_what_a_killed_process_left_goes_away(daemon: Daemon, whole: Path, program: Path) -> None:
    del program
    with subprocess.Popen(["true"]) as ended:
        pass
    stale = daemon.home / "cache" / "quantize" / f"{ended.pid}-abc"
    stale.mkdir(parents=True)
    (stale / "big.gguf").write_bytes(b"x")
    done = daemon.cli("package", "--gguf", str(whole), "--quantize", "Q4_1", "me/tiny:q41")
    assert done.returncode == 0, done.stderr
    assert left(daemon) == []


def test_a_full_disk(program: Path, whole: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    target.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="is the disk full"):
        quantize(program, plan_quantization(whole, "Q8_0"), target, done=lambda _count: None)
    assert not target.is_symlink()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--gguf", "x.gguf", "--quantize", ""), "--quantize needs a level"),
        (("--safetensors", ".", "--quantize", "Q8_0"), "convert_hf_to_gguf.py"),
        (("--gguf", "none.gguf", "--quantize", "Q8_0"), "none.gguf: no such file"),
    ],
)
def test_refusals(daemon: Daemon, flags: tuple[str, ...], words: str) -> None:
    done = daemon.cli("package", *flags, "me/x")
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def stand_in(folder: Path, script: str) -> dict[str, str]:
    """A `llama-quantize` on PATH that only runs this."""
    folder.mkdir()
    path = folder / "llama-quantize"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_one_on_path_comes_first_and_its_words_are_told(
    daemon: Daemon, whole: Path, tmp_path: Path
) -> None:
    script = 'echo "llama_model_quantize: failed to quantize: unknown model architecture"; exit 1'
    env = {**daemon.env, **stand_in(tmp_path / "bin", script)}
    argv = [*STOKER, "package", "--gguf", str(whole), "--quantize", "Q8_0", "me/x"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "tiny-F16.gguf could not be quantized: unknown model architecture" in done.stderr
    assert "a newer llama-quantize on PATH" in done.stderr
    assert left(daemon) == []


def test_ctrl_c_leaves_nothing(daemon: Daemon, whole: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    env = {
        **daemon.env,
        **stand_in(tmp_path / "bin", f'echo $$ > "{begun}"; echo x > "$2"; exec sleep 99'),
    }
    argv = [*STOKER, "package", "--gguf", str(whole), "--quantize", "Q8_0", "me/x"]
    with subprocess.Popen(argv, env=env, start_new_session=True) as run:
        deadline = time.monotonic() + 60
        while not (begun.exists() and begun.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)  # nothing tells us when another process has begun
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
        assert run.wait(60) == 130
    assert left(daemon) == []
    assert not Path(f"/proc/{begun.read_text().strip()}").exists()
