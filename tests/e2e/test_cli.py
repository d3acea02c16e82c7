"""The command line against the real daemon: what a person types, what they read, exit codes."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.components.artifacts import put_model
from tests.components.daemon import STOKER, Daemon, environment, free_port, run_cli, running_daemon
from tests.components.processes import family_of, survivors
from tests.components.tiny_models import bad_models, chat_model


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_one_shot_prints_only_the_answer(daemon: Daemon) -> None:
    done = daemon.cli("run", "pilot", "hello")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stderr == ""


def test_piped_text_follows_the_prompt(daemon: Daemon) -> None:
    done = daemon.cli("run", "pilot", "--json", "summarise:", stdin="some text from a pipe")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_bytes_that_are_no_text_and_letters_that_the_terminal_lacks(daemon: Daemon) -> None:
    piped = b"caf\xe9: what is Stoker?"
    done = subprocess.run(
        [*STOKER, "run", "pilot"], env=daemon.env, input=piped, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    poor = run_cli({**daemon.env, "PYTHONIOENCODING": "ascii"}, "plan", "pilot")
    assert (poor.returncode, poor.stderr) == (0, "")
    assert "? weights" in poor.stdout
    wrong = daemon.cli("inspect", "caf\udce9")
    assert wrong.stderr == "error: 'caf\\udce9' is not UTF-8\n"


def test_list_inspect_show_tag_and_rm(daemon: Daemon) -> None:
    listed = daemon.cli("list")
    assert lines(listed.stdout)[0].startswith("MODEL NAME")
    assert "pilot" in listed.stdout
    model = json.loads(daemon.cli("inspect", "pilot").stdout)
    assert model["tags"] == ["docker.io/ai/pilot:latest"]
    assert model["config"]["architecture"] == "llama"
    assert "llama" in daemon.cli("show", "pilot").stdout
    tagged = daemon.cli("tag", "pilot", "me/copy:v1")
    assert tagged.returncode == 0, tagged.stderr
    assert "me/copy:v1" in daemon.cli("list").stdout
    removed = daemon.cli("rm", "me/copy:v1")
    assert removed.stdout == "Untagged: docker.io/me/copy:v1\n"
    assert daemon.cli("run", "pilot", "hello").returncode == 0


@pytest.mark.parametrize("command", [("rm",), ("push",), ("configure", "--context-size", "64")])
@pytest.mark.parametrize("name", ["me/kept:v2", "localhost:1/me/kept:v1", "kept"])
def test_what_changes_a_model_takes_no_other_for_it(
    daemon: Daemon, name: str, command: tuple[str, ...]
) -> None:
    """A name that is nearly right is enough to look at a model, and for nothing else."""
    daemon.cli("tag", "pilot", "me/kept:v1")
    assert daemon.cli("inspect", name).returncode == 0
    done = daemon.cli(*command, name)
    assert done.returncode == 1
    assert "hint: " in done.stderr
    assert "me/kept:v1" in daemon.cli("list").stdout
    assert "configure" not in daemon.cli("configure", "show", "me/kept:v1").stdout


def test_ps_unload_status_and_version(daemon: Daemon) -> None:
    daemon.cli("run", "pilot", "hello")
    assert "pilot" in daemon.cli("ps").stdout
    assert daemon.cli("unload", "pilot").stdout == "Unloaded 1 model(s).\n"
    assert "llama.cpp" in daemon.cli("status").stdout
    assert "Server:" in daemon.cli("version").stdout


def test_logs_show_requests_and_engine_output(daemon: Daemon) -> None:
    daemon.cli("run", "pilot", "hello")
    logs = daemon.cli("logs").stdout
    assert "model loaded model=" in logs
    assert "path='/engines/v1/chat/completions'" in logs
    assert "llama_" in logs
    assert "llama_" not in daemon.cli("logs", "--no-engines").stdout


def test_logs_are_followed_until_the_service_ends(tmp_path: Path) -> None:
    with (
        running_daemon(tmp_path) as daemon,
        subprocess.Popen(
            [*STOKER, "logs", "-f"],
            env=dict(daemon.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as follower,
    ):
        assert follower.stdout is not None
        assert follower.stderr is not None
        first = follower.stdout.readline()
        assert "listening" in first
        daemon.process.terminate()
        assert follower.wait(30) == 0
        assert follower.stderr.read() == "Stream closed by server.\n"
        assert first not in follower.stdout.read()


def test_logs_of_one_engine(daemon: Daemon) -> None:
    daemon.cli("run", "pilot", "hello")
    mine = daemon.cli("logs", "--backend", "llama.cpp").stdout
    assert "llama_" in mine
    assert "path='/engines/v1/chat/completions'" not in mine
    assert daemon.cli("logs", "--backend", "vllm").stdout == ""
    unknown = daemon.cli("logs", "--backend", "tgi")
    assert unknown.returncode == 1
    assert "backend not found" in unknown.stderr
    assert "hint: known backends: llama.cpp, vllm" in unknown.stderr
    both = daemon.cli("logs", "--backend", "vllm", "--no-engines")
    assert "nothing over" in both.stderr


@pytest.mark.parametrize("command", ["install-runner", "uninstall-runner"])
def test_an_unknown_backend_is_told_which_there_are(daemon: Daemon, command: str) -> None:
    done = daemon.cli(command, "--backend", "tgi")
    assert done.returncode == 1
    assert done.stderr.endswith("backend not found\nhint: known backends: llama.cpp, vllm\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "no such", "hi"), "invalid model reference"),
        (("inspect", "nonesuch"), "model not found"),
        (("rm", "nonesuch"), "no such model"),
        (("tag", "pilot", "a b"), "invalid model reference"),
        (("unload",), "requires MODEL unless --all is specified"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_input_gets_one_clear_line(
    daemon: Daemon, arguments: tuple[str, ...], words: str
) -> None:
    done = daemon.cli(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.fixture(scope="module")
def bad(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that are no models, stored as models: what a broken packager elsewhere can push."""
    folder = tmp_path_factory.mktemp("bad")
    names = {}
    for kind, path in bad_models(folder).items():
        if not path.exists():
            continue
        names[kind] = f"bad/{kind.replace(' ', '-')}"
        put_model(daemon.home / "models", path, names[kind])
    return names


def test_broken_models_say_what_is_wrong(daemon: Daemon, bad: dict[str, str]) -> None:
    said = {}
    for kind, name in bad.items():
        done = daemon.cli("run", name, "hi")
        assert done.returncode == 1, (kind, done)
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        said[kind] = done.stderr
    assert "truncated" in said["truncated tensors"] or "incomplete" in said["truncated tensors"], (
        said
    )
    assert "architecture" in said["unknown architecture"], said
    assert daemon.engine_pids() == [] or daemon.cli("run", "pilot", "hi").returncode == 0


def test_the_engine_dies_while_answering(daemon: Daemon, tmp_path: Path) -> None:
    """The client gets the reason as an error; the next request finds a fresh engine."""
    put_model(daemon.home / "models", chat_model(tmp_path / "endless.gguf"), "test/endless")
    with subprocess.Popen(
        [*STOKER, "run", "test/endless", "go on"],
        env=dict(daemon.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdout
        assert run.stdout.read(5)
        os.kill(_pid_of(daemon, "test/endless"), signal.SIGKILL)
        _, error = run.communicate(timeout=30)
    assert run.returncode == 1
    assert b"stopped while answering" in error
    assert daemon.cli("run", "pilot", "hi").returncode == 0


def test_ctrl_c_ends_the_answer_and_frees_the_engine(daemon: Daemon, tmp_path: Path) -> None:
    put_model(daemon.home / "models", chat_model(tmp_path / "endless.gguf"), "test/endless")
    with subprocess.Popen(
        [*STOKER, "run", "test/endless", "go on"],
        env=dict(daemon.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdout
        assert run.stdout.read(5)
        run.send_signal(signal.SIGINT)
        _, error = run.communicate(timeout=30)
    assert run.returncode == 130
    assert b"Traceback" not in error
    deadline = time.monotonic() + 10
    while _running(daemon, "test/endless").get("in_use") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(daemon, "test/endless").get("in_use")


def test_a_second_daemon_is_told_about_the_first(daemon: Daemon) -> None:
    done = run_cli(daemon.env, "serve", "--port", str(free_port()))
    assert done.returncode == 1
    assert f"a daemon is already running (pid {daemon.process.pid}" in done.stderr
    assert "stoker stop-runner" in done.stderr


def test_a_port_in_use_is_named(daemon: Daemon, tmp_path: Path) -> None:
    done = run_cli(environment(tmp_path), "serve", "--port", str(daemon.port))
    assert done.returncode == 1
    assert f"port {daemon.port} on 127.0.0.1 is in use" in done.stderr
    assert f"--port {daemon.port + 1}" in done.stderr


def test_no_daemon_at_a_named_host(tmp_path: Path) -> None:
    done = run_cli(environment(tmp_path, STOKER_HOST=f"http://127.0.0.1:{free_port()}"), "list")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "not running" in done.stderr


def test_a_daemon_killed_hard_leaves_no_engine_behind(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        daemon.cli("run", "pilot", "hi")
        (engine,) = daemon.engine_pids()
        daemon.process.kill()
        daemon.process.wait()
        deadline = time.monotonic() + 10
        while Path(f"/proc/{engine}").exists() and time.monotonic() < deadline:
            if Path(f"/proc/{engine}/stat").read_text().split()[2] == "Z":
                break
            time.sleep(0.02)
        else:
            assert not Path(f"/proc/{engine}").exists()
    # What it left on disk does not hinder the next one.
    with running_daemon(tmp_path) as daemon:
        assert daemon.cli("run", "pilot", "hi").returncode == 0


def test_sigterm_lets_a_running_answer_finish(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        daemon.cli("pull", "pilot")
        body = {
            "model": "pilot",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 1500,
            "stream": True,
            "ignore_eos": True,
        }
        request = urllib.request.Request(
            f"{daemon.url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            answer.read(200)
            daemon.process.send_signal(signal.SIGTERM)
            rest = answer.read()
        assert rest.rstrip().endswith(b"[DONE]")
        assert daemon.process.wait(15) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_waits_for_no_answer(tmp_path: Path, number: signal.Signals) -> None:
    with running_daemon(tmp_path) as daemon:
        put_model(daemon.home / "models", chat_model(tmp_path / "endless.gguf"), "test/endless")
        asked = ("run", "test/endless", "go on")
        with subprocess.Popen(
            [*STOKER, *asked], env=dict(daemon.env), stdout=subprocess.PIPE
        ) as run:
            assert run.stdout
            assert run.stdout.read(5)
            family = family_of(daemon.process.pid)
            daemon.process.send_signal(number)
            while b"draining" not in (daemon.home / "daemon.out").read_bytes():
                time.sleep(0.02)
            daemon.process.send_signal(number)
            assert daemon.process.wait(10) == -number
            assert survivors(family) == []


def _running(daemon: Daemon, name: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{daemon.url}/engines/ps") as answer:
        found: list[dict[str, object]] = json.load(answer)
    return next((r for r in found if r["model_name"] == name), {})


def _pid_of(daemon: Daemon, name: str) -> int:
    pid = _running(daemon, name)["pid"]
    assert isinstance(pid, int)
    return pid
