"""Files become models: the real command line, daemon, registry and engine."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.oci_registry import RunningRegistry, oci_registry
from tests.components.tiny_models import chat_model


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon without any model."""
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_model(tmp_path_factory.mktemp("files") / "tiny-F32.gguf")


def test_package_push_pull_run(empty: Daemon, registry: RunningRegistry, model: Path) -> None:
    name = f"localhost:{registry.port}/me/x:q8"
    packaged = empty.cli("package", "--gguf", str(model), "--push", "--json", name)
    assert packaged.returncode == 0, packaged.stderr
    made = json.loads(packaged.stdout)
    assert empty.cli("list", "-q").stdout == "", "pushed only: nothing stays here"
    pulled = empty.cli("pull", name)
    assert pulled.returncode == 0, pulled.stderr
    found = json.loads(empty.cli("inspect", name).stdout)
    assert found["id"] == made["id"]
    assert found["config"]["architecture"] == "llama"
    assert found["config"]["context_size"] == 4096
    run = empty.cli("run", name, "hello")
    assert run.returncode == 0, run.stderr
    empty.cli("unload", "--all")
    assert f"Deleted: {made['id']}" in empty.cli("rm", name).stdout


def test_save_and_load(empty: Daemon, model: Path, tmp_path: Path) -> None:
    for name in ("me/a:1", "me/b:2"):
        done = empty.cli("package", "--gguf", str(model), "--context-size", "9", name)
        assert done.returncode == 0, done.stderr
    file = tmp_path / "models.tar"
    saved = empty.cli("save", "me/a:1", "me/b:2", "-o", str(file))
    assert saved.returncode == 0, saved.stderr
    before = json.loads(empty.cli("inspect", "me/a:1").stdout)
    empty.cli("rm", "--force", before["id"])
    loaded = empty.cli("load", "-i", str(file))
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(empty.cli("inspect", "me/b:2").stdout) == before
    empty.cli("rm", "--force", before["id"])


def test_export_load_repackage_purge(empty: Daemon, model: Path) -> None:
    assert empty.cli("package", "--gguf", str(model), "me/c").returncode == 0
    with urllib.request.urlopen(f"{empty.url}/models/me/c/export") as answer:
        assert answer.headers["Content-Type"] == "application/x-tar"
        data = answer.read()
        assert len(data) == int(answer.headers["Content-Length"])
    before = json.loads(empty.cli("inspect", "me/c").stdout)
    with urllib.request.urlopen(
        urllib.request.Request(f"{empty.url}/models/purge", method="DELETE")
    ) as answer:
        assert answer.read() == b""
    assert empty.cli("list", "-q").stdout == ""
    loaded = urllib.request.urlopen(f"{empty.url}/models/load", data).read()
    assert b'"message":"Model loaded successfully"' in loaded
    assert empty.cli("tag", before["id"], "me/c").returncode == 0
    assert json.loads(empty.cli("inspect", "me/c").stdout) == before
    body = json.dumps({"target": "me/c:small", "context_size": 77}).encode()
    answer = urllib.request.urlopen(f"{empty.url}/models/me/c/repackage", body)
    assert answer.status == 201
    small = json.loads(empty.cli("inspect", "me/c:small").stdout)
    assert small["config"]["context_size"] == 77
    assert small["id"] != before["id"]
