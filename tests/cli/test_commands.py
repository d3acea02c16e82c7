"""Each command once, against a daemon that answers."""

import json
import os
from pathlib import Path

import pytest

from stoker import __version__
from tests.cli.conftest import Stoker
from tests.components.stub_daemon import ID, SMOLLM2, Stub


def test_list(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("ls")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].startswith("smollm2     361.82M     IQ2_XXS/Q4_K_M  llama")
    assert stoker("list", "smollm2").out == outcome.out
    assert stoker("list", "other").out.count("\n") == 1
    assert stoker("list", "-q").out == "354bf30d0aa3\n"
    assert daemon.paths()[0] == "GET /models"


def test_another_default_registry(
    stoker: Stoker, daemon: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_REGISTRY", "registry.local:5000")
    daemon.models[0] = {**SMOLLM2, "tags": ["registry.local:5000/ai/m:latest", "docker.io/ai/x:v"]}
    assert [line.split()[0] for line in stoker("list").out.splitlines()] == [
        "MODEL", "docker.io/ai/x:v", "m",
    ]  # fmt: skip
    assert stoker("list", "m").out.count("\n") == 2
    stoker("tag", "docker.io/ai/x:v", "y")
    assert daemon.requests[-1].query == {"repo": "registry.local:5000/ai/y", "tag": "latest"}


def test_list_as_json(stoker: Stoker, daemon: Stub) -> None:
    text = stoker("list", "--json").out
    assert json.loads(text) == [SMOLLM2]
    assert text.startswith('[\n    {\n        "id": "sha256:')
    listed = json.loads(stoker("list", "--openai").out)
    assert listed["data"][0]["id"] == "docker.io/ai/smollm2:latest"
    assert json.loads(stoker("list", "--openai", "other").out)["data"] == []
    daemon.models.clear()
    assert stoker("list", "--json").out == "[]\n"


def test_run_prints_the_answer_and_nothing_else(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("run", "smollm2", "Say", "hello")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Hello there\n", "")
    assert daemon.chats() == [
        {
            "model": "smollm2",
            "messages": [{"role": "user", "content": "Say hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


def test_run_adds_what_is_piped(stoker: Stoker, daemon: Stub) -> None:
    stoker("run", "smollm2", "Explain:", "--system", "Be brief", "--backend", "vllm", stdin="x\n")
    assert daemon.chats()[0]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Explain:\n\nx"},
    ]
    assert daemon.paths()[-1] == "POST /engines/vllm/v1/chat/completions"
    stoker("run", "smollm2", stdin="only this")
    assert daemon.chats()[1]["messages"][0]["content"] == "only this"


def test_run_pulls_what_is_missing(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("run", "other", "hi")
    assert outcome.out == "Hello there\n"
    assert outcome.err.startswith("Unable to find model 'other' locally. Pulling from the server.")
    assert outcome.err.endswith("Model pulled successfully\n")
    assert daemon.paths() == [
        "GET /models/other",
        "POST /models/create",
        "POST /engines/v1/chat/completions",
    ]


def test_run_without_a_model_is_the_pilot(stoker: Stoker, daemon: Stub) -> None:
    assert stoker("run", stdin="hi").code == 0
    assert daemon.chats()[0]["model"] == "pilot"


def test_run_shows_reasoning_beside_the_answer(stoker: Stoker, daemon: Stub) -> None:
    daemon.reasoning = ["Let me", " see"]
    outcome = stoker("run", "smollm2", "hi")
    assert outcome.out == "Hello there\n"
    assert outcome.err == "Thinking:\nLet me see\n\n--\n\n"


def test_run_as_json(stoker: Stoker, daemon: Stub) -> None:
    daemon.reasoning = ["hm"]
    outcome = stoker("run", "smollm2", "hi", "--json")
    assert outcome.err == ""
    assert json.loads(outcome.out) == {
        "model": "smollm2",
        "content": "Hello there",
        "reasoning_content": "hm",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def test_run_debug_counts_tokens(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("run", "--debug", "smollm2", "hi")
    assert outcome.err == "\nToken usage: 7 prompt + 2 completion = 9 total\n"


def test_run_detached(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("run", "-d", "smollm2")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert daemon.requests[-1].headers["x-preload-only"] == "true"
    assert stoker("run", "-d", "--debug", "smollm2").err == "Model smollm2 loaded successfully\n"


def test_another_openai_server(stoker: Stoker, daemon: Stub) -> None:
    url = f"{daemon.url}/engines/v1"
    outcome = stoker("list", "--openaiurl", url)
    assert outcome.out == (
        "MODEL NAME                   CREATED  \ndocker.io/ai/smollm2:latest           \n"
    )
    assert stoker("list", "--openaiurl", url, "other").out == "MODEL NAME  CREATED  \n"
    assert json.loads(stoker("list", "--openaiurl", url, "--json").out)["object"] == "list"
    assert stoker("run", "--openaiurl", url, "gpt-4", "hi").out == "Hello there\n"
    assert daemon.chats()[0]["model"] == "gpt-4"
    assert set(daemon.paths()) == {
        "GET /engines/v1/models",
        "POST /engines/v1/chat/completions",
    }
    assert stoker("run", "-d", "--openaiurl", url, "m").code == 2
    assert stoker("list", "-q", "--openaiurl", url).code == 2
    assert stoker("list", "--openaiurl", "ftp://x").code == 1


def test_pull_as_json(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("pull", "other", "--json")
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert [record["type"] for record in records] == ["progress"] * 3 + ["success"]
    assert outcome.err == ""


def test_run_says_what_failed(stoker: Stoker, daemon: Stub) -> None:
    daemon.fail["/engines/v1/chat/completions"] = (500, '{"error": {"message": "crashed"}}', {})
    outcome = stoker("run", "smollm2", "hi")
    assert outcome.code == 1
    assert outcome.err == "error: Failed to generate a response: crashed\n"


def test_pull_and_push(stoker: Stoker, daemon: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    outcome = stoker("pull", "other")
    assert (outcome.code, outcome.out) == (0, "Model pulled successfully\n")
    assert daemon.requests[-1].body == {"from": "other"}
    stoker("pull", "HF.co/org/name")
    assert daemon.requests[-1].body == {"from": "HF.co/org/name", "bearer-token": "secret"}
    assert stoker("push", "smollm2").out == "Model pushed successfully\n"


def test_pull_of_nothing(stoker: Stoker, daemon: Stub) -> None:
    daemon.fail["/models/create"] = (404, "Model not found\n", {})
    outcome = stoker("pull", "x")
    assert outcome.code == 1
    assert outcome.err == (
        "error: Failed to pull model: pulling x failed with status 404 Not Found: Model not found\n"
    )


def test_ps(stoker: Stoker, daemon: Stub) -> None:
    assert stoker("ps").out == "MODEL NAME  BACKEND  MODE  UNTIL  \n"
    daemon.runners.append(
        {
            "backend_name": "llama.cpp",
            "model_name": "Docker.io/ai/smollm2",
            "mode": "completion",
            "last_used": "0001-01-01T00:00:00Z",
            "loading": True,
        }
    )
    assert stoker("ps").out.splitlines()[1] == "smollm2     llama.cpp  completion  Loading...  "
    assert json.loads(stoker("ps", "--json").out)[0]["loading"] is True
    daemon.runners[0]["model_name"] = ID
    assert stoker("ps").out.splitlines()[1].startswith("354bf30d0aa3  ")


def test_status(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("status")
    assert outcome.code == 0
    assert outcome.out == (
        "Docker Model Runner is running\n\nStatus:\nllama.cpp: running llama.cpp version: b1\n"
    )
    text = stoker("status", "--json").out
    assert text.startswith('{"running":true,"backends":{"llama.cpp":"Running: b1"},"kind":')
    assert json.loads(text)["endpoint"] == f"{daemon.url}/v1/"


def test_status_without_a_daemon(stoker: Stoker) -> None:
    outcome = stoker("status")
    assert (outcome.code, outcome.out) == (1, "Docker Model Runner is not running\n")
    assert outcome.err == "hint: start it with: stoker start-runner\n"
    outcome = stoker("status", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["running"] is False


def test_status_of_a_daemon_elsewhere(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_HOST", "http://127.0.0.1:9")
    assert stoker("status").err == (
        "STOKER_HOST names http://127.0.0.1:9, where nothing answers\n"
        "hint: to ask this machine's own: unset STOKER_HOST\n"
    )


def test_version(stoker: Stoker, daemon: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    out = stoker("version").out
    assert out.startswith(f"Client:\n Version:    {__version__}\n OS/Arch:    ")
    assert "\n\nServer:\n Version:    9.9\n Engine:     Docker Engine" in out
    assert json.loads(stoker("version", "--json").out)["server"]["version"] == "9.9"
    assert stoker("--version").out == f"stoker version {__version__}\n"
    monkeypatch.delenv("STOKER_HOST")
    outcome = stoker("version")
    assert outcome.code == 0
    assert " Version:    (not reachable)\n" in outcome.out


def test_inspect(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("inspect", "smollm2")
    assert json.loads(outcome.out) == SMOLLM2
    assert outcome.out.startswith('{\n    "id"')
    stoker("inspect", "-r", "smollm2")
    assert daemon.requests[-1].query == {"remote": "true"}
    outcome = stoker("inspect", "nope")
    assert outcome.err == "error: Failed to get model nope: model not found\n"


def test_show(stoker: Stoker, daemon: Stub) -> None:
    daemon.models[0] = {**SMOLLM2, "created": 0}
    assert stoker("show", "smollm2").out == (
        f"Model:       {ID}\n"
        "Tags:        docker.io/ai/smollm2:latest\n"
        "\n"
        "Format:       gguf\n"
        "Architecture: llama\n"
        "Parameters:   361.82M\n"
        "Size:         256.35MiB\n"
        "Quantization: IQ2_XXS/Q4_K_M\n"
        "Context Size: 8192\n"
        "\n"
        "GGUF Metadata:\n"
        "  general.architecture: llama\n"
    )
    daemon.models[0] = {"id": ID, "created": 1742816981, "config": {"gguf": {"m": "x" * 999}}}
    out = stoker("show", ID).out
    assert "\nCreated:     2025-03-2" in out
    assert out.endswith(f"  m: {'x' * 200}...\n")


def test_rm(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("rm", "-f", "smollm2", "nope")
    assert outcome.code == 1
    assert outcome.out == f"Untagged: docker.io/ai/smollm2:latest\nDeleted: {ID}\n"
    assert outcome.err == (
        "error: Failed to remove model: no such model: nope\nhint: stoker list shows what is here\n"
    )
    daemon.fail["/models/x"] = (409, "must be forced\n", {})
    why = "removing x failed with status 409 Conflict: must be forced"
    assert stoker("rm", "x").err == f"error: Failed to remove model: {why}\n"


def test_tag(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("tag", "smollm2", "me/x:V1")
    assert outcome.out == 'Model "smollm2" tagged successfully with "me/x:V1"\n'
    assert daemon.requests[-1].query == {"repo": "docker.io/me/x", "tag": "V1"}
    outcome = stoker("tag", "smollm2", "a b")
    assert outcome.code == 1
    assert outcome.err.startswith("error: invalid tag: invalid model reference 'a b'")
    assert stoker("tag", "smollm2", f"x@{ID}").code == 1


def test_df(stoker: Stoker, daemon: Stub) -> None:
    assert stoker("df").out == "TYPE    SIZE      \nModels  270.61MB  \n"
    assert json.loads(stoker("df", "--json").out)["models_disk_usage"] == 270610000


def test_unload(stoker: Stoker, daemon: Stub) -> None:
    assert stoker("stop", "m").out == "No such model(s) running.\n"
    assert stoker("unload", "--all").out == "No models are running.\n"
    assert daemon.requests[-1].body == {"all": True}
    daemon.runners.append({"backend_name": "b", "model_name": "m", "mode": "", "last_used": ""})
    assert stoker("unload", "m", "--backend", "vllm").out == "Unloaded 1 model(s).\n"
    assert json.loads(stoker("unload", "m", "--json").out) == {"unloaded_runners": 1}


def test_purge_asks(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("purge", stdin="yes\n")
    assert (outcome.code, outcome.out, daemon.paths()) == (0, "", [])
    assert outcome.err == (
        "WARNING! This will remove the entire models directory.\n"
        "Are you sure you want to continue? [y/N] Operation cancelled.\n"
    )
    assert stoker("purge", stdin="y\n").code == 0
    assert daemon.paths() == ["POST /engines/unload", "DELETE /models/purge"]
    outcome = stoker("purge", "-f")
    assert (outcome.out, outcome.err) == ("", "")


def test_configure(stoker: Stoker, daemon: Stub) -> None:
    outcome = stoker("configure", "m", "--context-size", "-1", "--think=false", "--", "--temp", "0")
    assert (outcome.code, outcome.out) == (0, "")
    assert daemon.requests[-1].body == {
        "model": "m",
        "context-size": -1,
        "runtime-flags": ["--temp", "0"],
        "llamacpp": {"reasoning-budget": 0},
    }
    stoker(
        "configure", "m", "--think", "--keep-alive", "-1", "--mode", "embedding",
        "--hf_overrides", '{"a": 1}', "--speculative-draft-model", "d",
    )  # fmt: skip
    assert daemon.requests[-1].body == {
        "model": "m",
        "mode": "embedding",
        "keep_alive": "-1",
        "llamacpp": {"reasoning-budget": -1},
        "vllm": {"hf-overrides": {"a": 1}},
        "speculative": {"draft_model": "d", "min_acceptance_rate": 0.0},
    }


def test_configure_show(stoker: Stoker, daemon: Stub) -> None:
    entry = {"Backend": "llama.cpp", "Model": "m", "ModelID": ID, "Mode": "completion"}
    daemon.configurations.append({**entry, "Config": {"context-size": 8192}})
    out = stoker("config", "show").out
    assert json.loads(out) == [{**entry, "Config": {"context-size": 8192}}]
    assert out.startswith('[\n  {\n    "Backend"')


def test_logs(stoker: Stoker, daemon: Stub) -> None:
    assert stoker("logs", "--no-engines").out.count("\n") == 2
    assert daemon.requests[-1].query == {"no-engines": "true"}
    stoker("logs", "--backend", "vllm")
    assert daemon.requests[-1].query["backend"] == "vllm"


def test_logs_of_a_daemon_that_died(stoker: Stoker, tmp_path: Path) -> None:
    assert stoker("logs").code == 1
    (tmp_path / "stoker/logs").mkdir(parents=True)
    (tmp_path / "stoker/logs/daemon.log").write_text("Segmentation fault\n")
    outcome = stoker("logs")
    assert (outcome.code, outcome.out) == (0, "Segmentation fault\n")
    assert "not running; the end of" in outcome.err


def test_serve_becomes_the_daemon(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _path, argv: calls.append(argv))
    stoker("serve", "--port", "1234", "--models-path", "/m")
    assert calls[0][1:] == [
        "-P", "-m", "stoker.daemon", "--port", "1234", "--models-path", "/m",
    ]  # fmt: skip


def test_runner_commands_leave_other_hosts_alone(stoker: Stoker, daemon: Stub) -> None:
    for command in ("start-runner", "stop-runner", "restart-runner"):
        outcome = stoker(command)
        assert outcome.code == 1
        assert "error: STOKER_HOST names http://127.0.0.1:" in outcome.err


def test_stopping_what_does_not_run(stoker: Stoker, tmp_path: Path) -> None:
    assert stoker("stop-runner").out == "Not running\n"
    (tmp_path / "stoker").mkdir()
    # A number left over from a crash that now belongs to a stranger: to init.
    (tmp_path / "stoker/daemon.lock").write_text('{"pid": 1}')
    assert stoker("stop-runner").out == "Not running\n"
