"""Row 25: of an engine's own routes nothing is reachable but what Stoker serves on purpose.

llama.cpp's are read out of the very library that runs; vLLM's are those of its 0.32 server, the
development mode's included.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.components.daemon import Daemon
from tests.components.http import ask

VLLM = (
    "/sleep", "/wake_up", "/is_sleeping", "/collective_rpc", "/reset_prefix_cache",
    "/reset_mm_cache", "/reset_encoder_cache", "/v1/load_lora_adapter", "/v1/unload_lora_adapter",
    "/invocations", "/pooling", "/classify", "/load", "/ping", "/server_info", "/start_profile",
    "/stop_profile", "/scale_elastic_ep", "/is_scaling_elastic_ep", "/tokenizer_info",
    "/inference/v1/generate", "/abort_requests", "/pause", "/resume", "/is_paused",
    "/update_weights", "/init_weights_update_group", "/get_world_size", "/v1/audio/translations",
    "/v1/audio/transcriptions", "/v1/realtime", "/openapi.yaml",
)  # fmt: skip
# Served by Stoker itself under the same name, or passed on because that is what it is for.
OURS = frozenset({
    "/health", "/metrics", "/docs", "/models", "/version", "/openapi.json", "/v1/models",
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/rerank",
    "/v1/messages/count_tokens", "/v1/responses", "/v1/responses/input_tokens", "/v1/tokenize",
    "/v1/detokenize", "/v1/apply-template", "/v1/score", "/chat/completions", "/completions",
    "/embeddings", "/rerank", "/score", "/responses",
})  # fmt: skip
PREFIXES = ("", "/v1", "/engines", "/engines/v1", "/engines/llama.cpp", "/engines/llama.cpp/v1")
TRICKS = (
    "/v1/../slots", "/v1/%2e%2e/slots", "//slots", "/v1//slots", "/v1/chat/completions/../../slots",
    "/slots?model=pilot", "/slots%3Fmodel=pilot", "/engines/llama.cpp/v1/..%2f..%2fslots",
    "/v1/models/../../slots", "/v1/models/%2e%2e%2f%2e%2e%2fprops", "/slots/0?action=save",
    "/props;x", "/%73lots", "http://engine/slots",
)  # fmt: skip


def llamacpp_routes() -> list[str]:
    """Every text in the library that is shaped like a route."""
    spec = find_spec("xllamacpp")
    assert spec
    assert spec.origin
    library = next(Path(spec.origin).parent.glob("xllamacpp*.so")).read_bytes()
    found = {text.decode() for text in re.findall(rb"\0(/[a-z][a-z0-9_/-]{2,40})(?=\0)", library)}
    unix = ("/bin", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/sys", "/tmp",
            "/usr", "/var", "/__w", "/mnt")  # fmt: skip
    return sorted(route for route in found if not route.startswith(unix))


def admin_routes() -> list[str]:
    return [route for route in (*llamacpp_routes(), *VLLM) if route not in OURS]


def test_the_library_still_has_the_dangerous_ones() -> None:
    assert {"/slots", "/props", "/lora-adapters", "/tools", "/cors-proxy"} <= set(admin_routes())
    assert len(admin_routes()) >= 40


@pytest.mark.parametrize("route", admin_routes())
def test_an_engines_own_route_is_nowhere(daemon: Daemon, route: str) -> None:
    body = {"model": "pilot", "messages": [], "prompt": "x", "input": "x", "content": "x"}
    for prefix in PREFIXES:
        path = prefix + route
        if path.removeprefix("/engines").removeprefix("/llama.cpp") in OURS:
            continue
        for method in ("GET", "POST", "DELETE", "PUT"):
            answer = ask(daemon, method, path, body if method != "GET" else None)
            assert answer.status in (404, 405), (method, path, answer.status, answer.body[:200])


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_leads_there(daemon: Daemon, path: str) -> None:
    for method in ("GET", "POST"):
        body = {"model": "pilot"} if method == "POST" else None
        answer = ask(daemon, method, path, body)
        if answer.status == 308:
            answer = ask(daemon, method, answer.headers["Location"], body)
        assert answer.status in (400, 403, 404, 405), (
            method,
            path,
            answer.status,
            answer.body[:200],
        )
        assert b"id_slot" not in answer.body
