"""The same weights in both engines: the same answers, token by token, and both at once."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stoker.oci.reference import parse_reference
from tests.components.artifacts import put_model
from tests.components.daemon import Daemon
from tests.components.http import ask

from .conftest import PILOT, running

VLLM, LLAMACPP = "test/pilot-vllm", "pilot:f16"


@pytest.fixture(scope="module")
def both(vllm: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """The safetensors as they are, and the F16 GGUF that the project's exporter makes of them."""
    half = tmp_path_factory.mktemp("gguf") / "pilot-F16.gguf"
    export = [sys.executable, str(PILOT / "export.py"), "--type", "F16", "-o", str(half)]
    subprocess.run(export, check=True, capture_output=True)
    put_model(vllm.home / "models", half, str(parse_reference(LLAMACPP)))
    return vllm


@pytest.fixture(scope="module")
def prompts() -> list[dict[str, Any]]:
    """Conversations, and as token ids what the chat template makes of them."""
    found: list[dict[str, Any]] = json.loads(Path(PILOT / "golden.json").read_text())
    assert len(found) >= 20
    return found


def post(daemon: Daemon, route: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = ask(daemon, "POST", f"/engines/v1/{route}", {**body, "temperature": 0}, timeout=600)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def continued(daemon: Daemon, model: str, prompt: list[int], count: int) -> list[int]:
    """The ids of the most likely tokens after a prompt, as far as each engine can be asked."""
    body = {"model": model, "prompt": prompt, "max_tokens": count}
    if model == VLLM:
        whole = post(daemon, "completions", {**body, "return_token_ids": True})
        ids: list[int] = whole["choices"][0]["token_ids"]
        return ids
    whole = post(daemon, "completions", {**body, "logprobs": 1, "cache_prompt": False})
    return [token["id"] for token in whole["choices"][0]["logprobs"]["content"]]


def said(daemon: Daemon, model: str, messages: list[dict[str, str]]) -> str:
    body = {"model": model, "messages": messages, "max_tokens": 60}
    return str(post(daemon, "chat/completions", body)["choices"][0]["message"]["content"])


def test_the_same_tokens(both: Daemon, prompts: list[dict[str, Any]]) -> None:
    for entry in prompts:
        count = len(entry["answer"])
        ours = continued(both, VLLM, entry["prompt"], count)
        assert ours == continued(both, LLAMACPP, entry["prompt"], count), entry["messages"]


def test_the_same_words(both: Daemon, prompts: list[dict[str, Any]]) -> None:
    """Tokenizer and chat template too: neither engine is given tokens."""
    for entry in prompts[:20]:
        ours = said(both, VLLM, entry["messages"])
        assert ours == said(both, LLAMACPP, entry["messages"]), entry["messages"]


def test_at_once(both: Daemon, prompts: list[dict[str, Any]]) -> None:
    """Chosen by what each of them reads, sixteen requests at a time."""
    asked = [(model, entry["messages"]) for entry in prompts[:20] for model in (VLLM, LLAMACPP)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda one: said(both, *one), asked))
    assert answers[::2] == answers[1::2]
    assert running(both, VLLM)["backend_name"] == "vllm"
    assert running(both, VLLM)["build"] == "0.32.0 (cpu)"
    assert running(both, LLAMACPP)["backend_name"] == "llama.cpp"


def test_vllm_by_name(both: Daemon) -> None:
    """Docker Model Runner's two ways to say which engine is meant."""
    body = {"model": VLLM, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
    answer = ask(both, "POST", "/engines/vllm/v1/chat/completions", body)
    assert answer.json["model"] == VLLM
    assert answer.json["usage"]["completion_tokens"] <= 8
    wrong = ask(both, "POST", "/engines/llama.cpp/v1/chat/completions", body)
    assert wrong.status == 422
    done = both.cli("run", VLLM, "What is Stoker?")
    assert done.returncode == 0, done.stderr
    assert "Stoker" in done.stdout
