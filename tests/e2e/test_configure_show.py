"""What a model runs with, who decided it, and what its engine says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker.library.effective import disagreements
from stoker.wire.config import Effective
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask
from tests.planner.shapes import Size, dense, write

MIB = 1024 * 1024


def shown(daemon: Daemon, model: str = "pilot") -> dict[str, Any]:
    done = daemon.cli("configure", "show", model, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def origins(found: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {name: (one["value"], one["origin"]) for name, one in found["settings"].items()}


@pytest.fixture
def fresh(daemon: Daemon) -> Iterator[Daemon]:
    """Nothing configured, nothing loaded."""
    yield daemon
    daemon.cli("configure", "pilot")
    daemon.cli("unload", "--all")


def test_what_nobody_chose(fresh: Daemon) -> None:
    found = shown(fresh)
    assert "running" not in found
    values = origins(found)
    assert values["context-size"] == (2048, "model")
    assert values["keep-alive"] == (300.0, "default")
    assert values["parallel"] == (4, "default")
    text = fresh.cli("configure", "show", "pilot").stdout
    assert text.startswith("pilot on llama.cpp")
    assert "not loaded" in text
    assert "256.00MiB" in text


def test_what_was_configured_is_what_the_engine_says(fresh: Daemon) -> None:
    flags = ("--context-size", "1000", "--parallel", "2", "--kv-type", "q8_0", "--pin")
    assert fresh.cli("configure", "pilot", *flags, "--", "--temp", "0.5").returncode == 0
    assert fresh.cli("run", "pilot", "hi").returncode == 0
    found = shown(fresh)
    values = origins(found)
    for name, value in (
        ("context-size", 1000), ("parallel", 2), ("cache-type-k", "q8_0"), ("keep-alive", None)
    ):  # fmt: skip
        assert values[name] == (value, "configure")
    assert values["batch-size"][1] == "default"
    running = found["running"]
    assert running["state"] == "ready"
    assert (running["says"]["context-size"], running["says"]["parallel"]) == (1024, 2)
    assert running["says"]["model"].endswith("pilot-Q8_0.gguf")
    assert "differs" not in running
    text = fresh.cli("configure", "show", "pilot").stdout
    assert "its engine says  context-size 1024" in text
    assert "for ever" in text


def test_a_context_that_a_request_asked_for(fresh: Daemon) -> None:
    body = {"model": "pilot", "options": {"num_ctx": 512, "num_predict": 1}, "stream": False}
    body["messages"] = [{"role": "user", "content": "hi"}]
    assert ask(fresh, "POST", "/api/chat", body).status == 200
    found = shown(fresh)
    assert origins(found)["context-size"] == (512, "request")
    assert found["running"]["says"]["context-size"] == 512


def test_flags_count_as_configured(fresh: Daemon) -> None:
    fresh.cli("configure", "pilot", "--", "-c", "768", "-b", "128", "--no-kv-unified")
    values = origins(shown(fresh))
    assert values["context-size"] == (768, "configure")
    assert values["batch-size"] == (128, "configure")
    assert values["kv-unified"] == (False, "configure")


def test_without_a_model_it_is_what_docker_prints(fresh: Daemon) -> None:
    fresh.cli("configure", "pilot", "--context-size", "512")
    (entry,) = json.loads(fresh.cli("configure", "show").stdout)
    assert entry["Config"] == {"context-size": 512}


def test_wrong_questions(fresh: Daemon) -> None:
    assert "model not found" in fresh.cli("configure", "show", "nonesuch").stderr
    route = "/engines/_configure/effective"
    assert ask(fresh, "GET", route).status == 400
    assert ask(fresh, "GET", f"{route}?model=pilot&mode=singing").status == 400
    other = ask(fresh, "GET", f"{route}?model=pilot&backend=vllm")
    assert b"vllm does not run gguf" in other.body


def test_an_engine_that_says_otherwise_is_found_out() -> None:
    settings = {"context-size": Effective(4000, "configure"), "parallel": Effective(2, "default")}
    assert disagreements({"context-size": 4096, "parallel": 2, "build": "b1"}, settings) == []
    said = disagreements({"context-size": 2048, "parallel": 4}, settings)
    assert said == ["context-size is 2048, not 4000", "parallel is 4, not 2"]


def test_all_of_the_context_or_a_refusal_that_says_how_much_fits(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home: Path = tmp_path_factory.mktemp("small")
    with running_daemon(home, STOKER_MEMORY_BUDGET=str(2048 * MIB)) as daemon:
        for context in (4096, 8_000_000):
            shape = dense(f"ctx{context}", Size(context=context))
            put_model(home / "models", write(shape, home), f"me/ctx{context}")
        assert daemon.cli("configure", "me/ctx4096", "--context-size", "-1").returncode == 0
        assert origins(shown(daemon, "me/ctx4096"))["context-size"] == (4096, "configure")
        refused = daemon.cli("configure", "me/ctx8000000", "--context-size", "-1")
        assert refused.returncode == 1
        assert "are missing" in refused.stderr
        assert "it would fit with --context-size" in refused.stderr
        assert json.loads(daemon.cli("configure", "show").stdout)[0]["Model"].endswith(
            "ctx4096:latest"
        )
        largest = refused.stderr.rpartition("--context-size ")[2].split()[0]
        assert daemon.cli("configure", "me/ctx8000000", "--context-size", largest).returncode == 0
        assert "problem" not in shown(daemon, "me/ctx8000000")
