"""Models travel: the real daemon, the real registry, the real command line."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import CTRL_C, terminal
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon
from tests.components.http import ask
from tests.components.oci_registry import RunningRegistry, oci_registry
from tests.components.tiny_models import chat_model


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    folder: Path = tmp_path_factory.mktemp("registry")
    with oci_registry(folder) as registry:
        yield registry


def test_push_remove_pull_run(daemon: Daemon, registry: RunningRegistry) -> None:
    name = f"localhost:{registry.port}/me/pilot:q8"
    before = json.loads(daemon.cli("inspect", "pilot").stdout)["id"]
    daemon.cli("tag", "pilot", name)
    pushed = daemon.cli("push", name)
    assert pushed.returncode == 0, pushed.stderr
    removed = daemon.cli("rm", "--force", "pilot")
    assert f"Deleted: {before}" in removed.stdout
    pulled = daemon.cli("pull", name)
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(daemon.cli("inspect", name).stdout)["id"] == before
    assert daemon.cli("run", name, "hello").stdout.strip()


def test_a_model_is_inspected_where_it_lies(daemon: Daemon, registry: RunningRegistry) -> None:
    name = f"localhost:{registry.port}/me/far:away"
    daemon.cli("tag", "pilot", name)
    assert daemon.cli("push", name).returncode == 0
    here = json.loads(daemon.cli("inspect", name).stdout)
    daemon.cli("rm", name)
    assert daemon.cli("inspect", name).returncode == 1
    there = json.loads(daemon.cli("inspect", "--remote", name).stdout)
    assert there == {k: v for k, v in here.items() if k != "tags"}
    assert here["id"] in daemon.cli("show", "--remote", name).stdout
    none = ask(daemon, "GET", f"/models/localhost:{registry.port}/me/none?remote=true")
    assert (none.status, none.headers["Stoker-Error"]) == (404, "model_not_found")
    assert none.body.startswith(b"error while getting remote model: ")
    bundled = daemon.cli("inspect", "--remote", "pilot")
    assert "comes along with Stoker" in bundled.stderr


def test_a_damaged_model_does_not_keep_another_from_being_pushed(
    daemon: Daemon, registry: RunningRegistry, tmp_path: Path
) -> None:
    mine, other = (f"localhost:{registry.port}/me/{name}:one" for name in ("mine", "other"))
    put_model(daemon.home / "models", chat_model(tmp_path / "other.gguf"), other)
    damaged = json.loads(daemon.cli("inspect", other).stdout)["id"].removeprefix("sha256:")
    (daemon.home / "models" / "blobs" / "sha256" / damaged).unlink()
    daemon.cli("tag", "pilot", mine)
    pushed = daemon.cli("push", mine)
    assert pushed.returncode == 0, pushed.stderr
    assert daemon.cli("rm", "--force", other).returncode == 0


def test_who_leaves_a_pull_hears_that_it_goes_on(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"localhost:{silent.getsockname()[1]}/me/slow"
        with terminal("pull", name, environ=daemon.env) as screen:
            screen.expect("waiting for the registry")
            screen.type(CTRL_C)
            screen.expect("The service goes on with it")
            assert screen.end() == 130


def test_a_model_that_is_not_there(daemon: Daemon, registry: RunningRegistry) -> None:
    done = daemon.cli("pull", f"localhost:{registry.port}/no/such:model")
    assert done.returncode == 1
    assert "404" in done.stderr
    assert "Traceback" not in done.stderr
    sent = daemon.cli("push", "me/none")
    assert sent.returncode == 1
    assert (
        "hint: give a model that is here this name first: stoker tag MODEL me/none" in sent.stderr
    )
