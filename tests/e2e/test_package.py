"""Files become models: the real command line, daemon, registry and engine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import Daemon, running_daemon
from tests.components.oci_registry import RunningRegistry, oci_registry
from tests.components.tiny_models import bad_models, chat_model


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
