"""Models from Hugging Face: the real daemon against a hub on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.engines.sample_model import write_sample
from tests.components.daemon import Daemon, running_daemon
from tests.components.hub import hub_server
from tests.components.tiny_models import chat_model


@pytest.fixture(scope="module")
def hub_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose Hugging Face has one repository with two quantizations of a model."""
    folder: Path = tmp_path_factory.mktemp("hub")
    weights = chat_model(folder / "m.gguf").read_bytes()
    with hub_server() as hub:
        files = {"Tiny-Q4_K_M.gguf": weights, "Tiny-Q8_0.gguf": weights, "README.md": b"# Tiny"}
        hub.add("Some-Org/Tiny-GGUF", files)
        sample = write_sample(folder / "sample")
        hub.add("Some-Org/Tiny-Safetensors", {f.name: f.read_bytes() for f in sample.iterdir()})
        with running_daemon(tmp_path_factory.mktemp("home"), HF_ENDPOINT=hub.url) as daemon:
            yield daemon


def test_plan_and_recommend_before_anything_is_pulled(hub_daemon: Daemon) -> None:
    planned = hub_daemon.cli("plan", "hf.co/Some-Org/Tiny-GGUF:Q8_0")
    assert planned.returncode == 0, planned.stderr
    assert "download" in planned.stdout
    assert "are free for models" in planned.stdout
    plan = json.loads(hub_daemon.cli("plan", "hf.co/Some-Org/Tiny-GGUF", "--json").stdout)
    assert plan["fits"]
    assert plan["download"] > 200_000
    table = hub_daemon.cli("recommend", "hf.co/Some-Org/Tiny-GGUF").stdout
    assert "Q4_K_M" in table
    assert "Q8_0" in table
    assert table.count("recommended") == 1
    assert hub_daemon.cli("list", "--quiet").stdout.strip() == ""
    absent = hub_daemon.cli("plan", "hf.co/Some-Org/Tiny-GGUF:Q2_K")
    assert absent.returncode == 1
    assert "it has Q4_K_M, Q8_0" in absent.stderr


def test_safetensors_before_a_pull(hub_daemon: Daemon) -> None:
    name = "hf.co/Some-Org/Tiny-Safetensors"
    plan = json.loads(hub_daemon.cli("plan", name, "--json").stdout)
    assert plan["engine"] == "vllm"
    assert plan["download"] > 100_000
    (row,) = json.loads(hub_daemon.cli("recommend", name, "--json").stdout)
    assert row["size"] > 100_000


def test_pull_and_run(hub_daemon: Daemon) -> None:
    pulled = hub_daemon.cli("pull", "hf.co/Some-Org/Tiny-GGUF")
    assert pulled.returncode == 0, pulled.stderr
    assert "Q4_K_M" in pulled.stdout + pulled.stderr
    model = json.loads(hub_daemon.cli("inspect", "hf.co/some-org/tiny-gguf").stdout)
    assert model["tags"] == ["huggingface.co/some-org/tiny-gguf:latest"]
    body = ("run", "hf.co/Some-Org/Tiny-GGUF", "hi")
    assert hub_daemon.cli("configure", "hf.co/Some-Org/Tiny-GGUF", "--", "-n", "8").returncode == 0
    assert hub_daemon.cli(*body).stdout.strip()


def test_the_same_commit_is_not_fetched_again(hub_daemon: Daemon) -> None:
    hub_daemon.cli("pull", "hf.co/Some-Org/Tiny-GGUF:Q8_0")
    again = hub_daemon.cli("pull", "hf.co/Some-Org/Tiny-GGUF:Q8_0")
    assert "Using cached model" in again.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf.co/Some-Org/Tiny-GGUF:Q3_K_S", "Q4_K_M"),
        ("hf.co/Some-Org/Nothing", "failed to pull model Some-Org/Nothing from Hugging Face"),
    ],
)
def test_what_is_not_there(hub_daemon: Daemon, name: str, words: str) -> None:
    done = hub_daemon.cli("pull", name)
    assert done.returncode == 1
    assert words.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
