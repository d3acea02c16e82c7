"""`search`: the real daemon and command line; Docker Hub and Hugging Face on loopback."""

import json
import re
from collections.abc import Iterator

import pytest

from stoker.oci.mediatypes import DOCKER_GGUF, DOCKER_LICENSE, DOCKER_SAFETENSORS
from tests.components.daemon import Daemon, running_daemon
from tests.components.docker_hub import DockerHub, docker_hub
from tests.components.hub import Answer, HubServer, hub_server

LONG = "Tiny as well, and described in more words than fit here"


@pytest.fixture(scope="module")
def docker() -> Iterator[DockerHub]:
    with docker_hub() as hub:
        hub.add("tiny", "A tiny model", pulls=1_234_567, layers={DOCKER_GGUF: 270_610_000})
        both = {DOCKER_SAFETENSORS: 500, DOCKER_GGUF: 400, DOCKER_LICENSE: 100}
        hub.add("tiny-two", LONG, layers=both)
        hub.add("nameless", "No manifest", pulls=45_000)
        yield hub


@pytest.fixture(scope="module")
def hugging() -> Iterator[HubServer]:
    with hub_server() as hub:
        hub.add("Org/Tiny-GGUF", {"m-Q4_K_M.gguf": b""})
        yield hub


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, docker: DockerHub, hugging: HubServer
) -> Iterator[Daemon]:
    with running_daemon(
        tmp_path_factory.mktemp("home"),
        STOKER_DOCKER_HUB=docker.url,
        DEFAULT_REGISTRY=docker.host,
        HF_ENDPOINT=hugging.url,
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def _well(docker: DockerHub, hugging: HubServer) -> None:
    docker.answer = None
    hugging.reset()


def test_a_table(daemon: Daemon) -> None:
    done = daemon.cli("search", "tiny")
    assert (done.returncode, done.stderr) == (0, "")
    cells = [re.split(r" {2,}", line.rstrip()) for line in done.stdout.splitlines()]
    assert cells[:3] == [
        ["NAME", "DESCRIPTION", "BACKEND", "SIZE", "DOWNLOADS", "STARS", "SOURCE"],
        ["ai/tiny", "A tiny model", "llama.cpp", "270.61MB", "1.2M", "3", "Docker Hub"],
        ["ai/tiny-two", f"{LONG[:47]}...", "llama.cpp, vllm", "1.00kB", "0", "3", "Docker Hub"],
    ]
    assert (cells[3][0], cells[3][2], cells[3][-1]) == (
        "hf.co/Org/Tiny-GGUF",
        "llama.cpp",
        "HuggingFace",
    )


def test_json(daemon: Daemon) -> None:
    done = daemon.cli("search", "--source=docker", "--json", "-n", "1", "nameless")
    (row,) = json.loads(done.stdout)
    assert row == {
        "Name": "ai/nameless",
        "Description": "No manifest",
        "Downloads": 45000,
        "Stars": 3,
        "Source": "Docker Hub",
        "Official": True,
        "UpdatedAt": "2026-11-01T00:00:00Z",
        "Backend": "unknown",
        "Size": 0,
    }
    only = json.loads(daemon.cli("search", "--source", "hf", "--json").stdout)
    assert [row["Source"] for row in only] == ["HuggingFace"]
    everything = json.loads(daemon.cli("search", "--json", "--limit", "2").stdout)
    assert [row["Name"] for row in everything] == ["ai/tiny", "ai/nameless"]


def test_nothing_found(daemon: Daemon) -> None:
    assert daemon.cli("search", "zzz").stdout == 'No models found matching "zzz"\n'
    assert daemon.cli("search", "zzz", "--json").stdout == "[]\n"


def test_sources_that_fail(daemon: Daemon, docker: DockerHub, hugging: HubServer) -> None:
    docker.answer = 404, {}, b""
    done = daemon.cli("search", "tiny")
    assert done.returncode == 0
    assert done.stderr.startswith("Warning: failed to search Docker Hub: 127.0.0.1:")
    assert "Org/Tiny-GGUF" in done.stdout
    hugging.on("/api/models", Answer(404))
    done = daemon.cli("search", "tiny")
    assert (done.returncode, done.stdout) == (1, "")
    said = "error: search failed: all search sources failed: [Docker Hub: 127.0.0.1:"
    assert done.stderr.startswith(said)
    assert "; HuggingFace: the hub's list of models: " in done.stderr


def test_a_source_that_is_none(daemon: Daemon) -> None:
    done = daemon.cli("search", "--source", "x")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: unknown source \"x\": valid options are 'all', 'dockerhub', 'docker', 'hub', "
        "'huggingface', 'hf'\n"
    )
