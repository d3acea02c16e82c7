"""`stoker bench` on a real engine. What is measured is the machine's affair; its form is ours."""

import json
import signal
import subprocess
from pathlib import Path

from tests.components.daemon import STOKER, Daemon, running_daemon

QUICK = ("--duration", "200ms", "--max-tokens", "8")


def test_a_table_and_a_plot(daemon: Daemon) -> None:
    done = daemon.cli("bench", "pilot", "--concurrency", "1,3", *QUICK)
    assert done.returncode == 0, done.stderr
    header, one, three, *rest = done.stdout.splitlines()
    assert header.split()[:2] == ["CONCURRENCY", "TOKENS/S"]
    assert [one.split()[0], three.split()[0]] == ["1", "3"]
    assert sum(line.count("█") for line in rest) > 8
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[0] == "Running benchmark with concurrency: 1"


def test_as_json(daemon: Daemon) -> None:
    done = daemon.cli("bench", "pilot", "--json", "--concurrency", "2", "--prompt", "hello", *QUICK)
    found = json.loads(done.stdout)
    assert (found["model"], found["prompt"]) == ("pilot", "hello")
    (level,) = found["results"]
    assert list(level) == sorted(level)
    assert level["Concurrency"] == 2
    assert level["Requests"] == len(level["TokenCounts"]) >= 2
    assert all(0 < count <= 8 for count in level["TokenCounts"])
    assert level["TotalTokens"] == sum(level["TokenCounts"])
    assert 0 < level["FirstToken50"] <= level["FirstToken95"] <= level["TotalTime"]
    assert level["Errors"] == []


def test_no_prompt_is_sent_twice(tmp_path: Path) -> None:
    """Engines remember how prompts begin; a number at the front makes each a new one."""
    with running_daemon(tmp_path, STOKER_RECORD_REQUESTS="1") as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        daemon.cli("bench", "pilot", "--concurrency", "2", *QUICK)
        (kept,) = json.loads(daemon.cli("requests").stdout)
    bodies = [record["request"] for record in kept["records"]]
    assert len(set(bodies)) == len(bodies) > 1


def test_ctrl_c_shows_what_was_measured(daemon: Daemon) -> None:
    with subprocess.Popen(
        [*STOKER, "bench", "pilot", "--concurrency", "1,2,4", "--duration", "1s"],
        env=dict(daemon.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        assert bench.stderr is not None
        for number in (1, 2):
            assert bench.stderr.readline() == f"Running benchmark with concurrency: {number}\n"
        bench.send_signal(signal.SIGINT)
        out, err = bench.communicate(timeout=30)
    assert bench.returncode == 130
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["CONCURRENCY", "1"]
    assert "Traceback" not in err


def test_a_model_that_is_not_here(daemon: Daemon) -> None:
    done = daemon.cli("bench", "nonesuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Failed to inspect model: model not found" in done.stderr
    assert "hint: stoker pull nonesuch" in done.stderr
