"""`stoker requests`: what was asked, when somebody wants it recorded."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.components.daemon import STOKER, Daemon, running_daemon


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home"), STOKER_RECORD_REQUESTS="1") as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        assert daemon.cli("tag", "pilot", "me/other").returncode == 0
        yield daemon


def test_recorded(recording: Daemon) -> None:
    assert json.loads(recording.cli("requests").stdout) == []
    recording.cli("run", "pilot", "hello")
    done = recording.cli("requests")
    assert (done.returncode, done.stderr) == (0, "")
    (kept,) = json.loads(done.stdout)
    asked = json.loads(kept["records"][-1]["request"])
    assert asked["messages"][-1] == {"role": "user", "content": "hello"}
    assert json.loads(recording.cli("requests", "--model", "pilot").stdout) == [kept]
    missing = recording.cli("requests", "--model", "nonesuch")
    assert missing.returncode == 1
    assert "Failed to read the requests: model not found" in missing.stderr


def test_followed_until_the_service_ends(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    with running_daemon(home, STOKER_RECORD_REQUESTS="1") as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        daemon.cli("run", "pilot", "one")
        with subprocess.Popen(
            [*STOKER, "requests", "-f", "--include-existing", "--model", "pilot"],
            env=dict(daemon.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as follower:
            assert follower.stdout is not None
            assert follower.stderr is not None
            assert follower.stderr.readline().startswith("Connected to request stream.")
            (first,) = json.loads(follower.stdout.readline())
            assert '"one"' in first["records"][0]["request"]
            daemon.cli("run", "pilot", "two")
            (second,) = json.loads(follower.stdout.readline())
            assert '"two"' in second["records"][0]["request"]
            daemon.process.terminate()
            assert follower.wait(30) == 0
            assert follower.stderr.read() == "Stream closed by server.\n"


def test_not_recorded(daemon: Daemon) -> None:
    done = daemon.cli("requests")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "Requests are not recorded by this service. To switch that on:" in done.stderr
    assert "STOKER_RECORD_REQUESTS=1 stoker restart-runner" in done.stderr
    wrong = daemon.cli("requests", "--include-existing")
    assert wrong.returncode == 2
    assert "--include-existing can only be used with --follow" in wrong.stderr
