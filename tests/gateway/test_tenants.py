"""Row 24: one tenant's prompts neither speed up nor show in another's answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stoker.access import LOCAL, Caller
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.vllm import Vllm
from stoker.gateway.tenants import Tenants
from stoker.planner.spec import RunSettings
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask

A, B = Caller("key a", frozenset()), Caller("key b", frozenset())
BODY = b' {"model": "x", "cache_salt": "mine", "cache_prompt": true} \n'


def sent(tenants: Tenants, engine: LlamaCpp | Vllm, caller: Caller) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tenants.body(engine, caller, BODY))
    assert found["model"] == "x"
    return found


def test_row_24_vllm_gets_a_salt_that_nobody_can_choose_or_know() -> None:
    tenants, vllm = Tenants(lambda: True), Vllm()
    salts = [sent(tenants, vllm, caller)["cache_salt"] for caller in (A, B, A)]
    assert salts[0] == salts[2]
    assert len({*salts, "mine"}) == 3
    assert sent(Tenants(lambda: True), vllm, A)["cache_salt"] not in salts
    assert tenants.settings(vllm, RunSettings()) == RunSettings()


def test_row_24_llamacpp_reads_no_cache_for_a_tenant() -> None:
    tenants, llama = Tenants(lambda: True), LlamaCpp()
    assert sent(tenants, llama, A)["cache_prompt"] is False
    assert sent(tenants, llama, LOCAL)["cache_prompt"] is True
    chosen = tenants.body(llama, LOCAL, b'{"model": "x", "cache_prompt": false}')
    assert json.loads(chosen)["cache_prompt"] is False
    settings = RunSettings(runtime_flags=("--parallel", "2"))
    flags = tenants.settings(llama, settings).runtime_flags
    assert flags == ("--parallel", "2", "--no-cache-prompt")


def test_row_24_nothing_changes_without_tenants() -> None:
    tenants = Tenants(lambda: False)
    for engine in (LlamaCpp(), Vllm()):
        assert tenants.body(engine, LOCAL, BODY) is BODY
        assert tenants.settings(engine, RunSettings()) == RunSettings()


SECRET = "the word that nobody else may learn is heliotrope, and nobody will ever guess it"
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/api/chat")


def known(daemon: Daemon, path: str, headers: dict[str, str]) -> int:
    """How many tokens of the secret prompt the engine says that it knew."""
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": SECRET}], "max_tokens": 1}
    if path.endswith("responses"):
        asked = {"input": SECRET, "max_output_tokens": 1}
    elif path == "/v1/completions":
        asked = {"prompt": SECRET, "max_tokens": 1}
    body = {"model": "pilot", "stream": False, "cache_prompt": True, **asked}
    answer = ask(daemon, "POST", path, body, headers)
    assert answer.status == 200, answer.body
    said = answer.json
    usage = said.get("usage", {})
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return int(usage.get("cache_read_input_tokens", details.get("cached_tokens", 0)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        # Loaded, and its cache filled, before there is any tenant.
        for path in PATHS:
            known(daemon, path, {})
        assert known(daemon, "/v1/messages", {}) > 5
        yield daemon


def test_row_24_two_keys_on_one_engine(shared: Daemon) -> None:
    headers = []
    for name, flags in (("admin", []), ("a", ["--model", "pilot"]), ("b", ["--model", "pilot"])):
        made = shared.cli("key", "add", name, *flags)
        headers.append({"Authorization": f"Bearer {made.stdout.strip()}"})
    admin, first, second = headers
    for path in PATHS:
        known(shared, path, first)
        assert known(shared, path, second) == 0, path
        assert known(shared, path, first) == 0, path
    # Who manages the daemon still gets what a cache is for.
    known(shared, "/v1/chat/completions", admin)
    assert known(shared, "/v1/chat/completions", admin) > 5
