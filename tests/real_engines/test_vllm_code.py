"""A model that really needs its own Python: the real vLLM runs it after a consent, never before."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.daemon import Daemon
from tests.real_engines.test_vllm_failures import altered

NAME = "test/zebra-vllm"
CODE = """
import socket
from pathlib import Path

from transformers import LlamaConfig

try:
    Path.home().joinpath("it-ran").touch()
    Path.home().parent.parent.joinpath("it-escaped").touch()
except PermissionError:
    pass
try:
    socket.create_connection(("127.0.0.1", PORT))
    Path.home().joinpath("it-escaped").touch()
except OSError:
    pass


class ZebraConfig(LlamaConfig):
    model_type = "zebra"
"""


@pytest.fixture
def zebra(vllm: Daemon, weights: Path, tmp_path: Path) -> Iterator[Daemon]:
    """pilot with a config of its own type, by the daemon's own socket; nothing else is loaded."""
    folder = Path(shutil.copytree(weights, tmp_path / "zebra"))
    altered(model_type="zebra", auto_map={"AutoConfig": "configuration_zebra.ZebraConfig"})(folder)
    (folder / "configuration_zebra.py").write_text(CODE.replace("PORT", str(vllm.port)))
    by_socket = {**vllm.env, "STOKER_HOST": f"unix://{vllm.home}/run/stoker.sock"}
    own = Daemon(vllm.home, vllm.port, vllm.process, by_socket)
    done = own.cli("package", "--copy", "--safetensors", str(folder), "--allow-code", NAME)
    assert done.returncode == 0, done.stderr
    own.cli("unload", "--all")
    yield own
    own.cli("unload", "--all")
    own.cli("rm", NAME)


def traces(daemon: Daemon) -> list[Path]:
    return [*daemon.home.rglob("it-ran"), *daemon.home.rglob("it-escaped")]


def test_only_with_consent(zebra: Daemon) -> None:
    digest = json.loads(zebra.cli("inspect", NAME).stdout)["id"]
    refused = zebra.cli("run", NAME, "hi", timeout=600)
    assert refused.returncode == 1
    assert "it needs Python code of its own, which runs only with your consent" in refused.stderr
    command = f"stoker configure {NAME} --trust-remote-code {digest}"
    assert command in refused.stderr
    assert traces(zebra) == []

    assert zebra.cli(*command.split()[1:]).returncode == 0
    answered = zebra.cli("run", NAME, "hi", timeout=600)
    assert answered.returncode == 0, answered.stderr
    # It ran, confined: in a home of its own, and nowhere else.
    homes = zebra.home / "cache" / "homes"
    assert traces(zebra) == [homes / f"vllm-{digest[7:19]}" / "it-ran"]

    assert zebra.cli("configure", NAME, "--trust-remote-code", "none").returncode == 0
    again = zebra.cli("run", NAME, "hi", timeout=600)
    assert again.returncode == 1
    assert command in again.stderr
