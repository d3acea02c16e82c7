"""Memory and decisions as a person sees them, from the real daemon."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.components.daemon import Daemon
from tests.components.http import ask


def test_plan_shows_the_parts_and_loads_nothing(daemon: Daemon) -> None:
    planned = daemon.cli("plan", "pilot")
    assert planned.returncode == 0, planned.stderr
    for word in ("weights", "cache", "compute", "tokens/s", "all on the CPU"):
        assert word in planned.stdout
    plan = json.loads(daemon.cli("plan", "pilot", "--json", "--context-size", "1024").stdout)
    assert plan["context"] == 1024
    assert plan["exact"]
    (host,) = plan["devices"]
    assert sum(part["bytes"] for part in host["parts"]) == host["bytes"] == plan["total"]
    assert not daemon.engine_pids()


def test_a_context_that_does_not_fit_is_refused_with_one_that_does(daemon: Daemon) -> None:
    wide = daemon.cli("plan", "pilot", "--context-size", "4096").stdout
    assert "4096 tokens, shared by up to 4 requests; each can use 2048, all that" in wide
    planned = daemon.cli("plan", "pilot", "--context-size", "16000000")
    assert planned.returncode == 1
    assert "are missing" in planned.stdout
    assert "it would fit with --context-size" in planned.stdout
    absurd = daemon.cli("plan", "pilot", "--context-size", "200000000")
    assert absurd.returncode == 1
    assert "impossible" in absurd.stderr


def test_a_model_configured_too_large_fails_at_once(daemon: Daemon) -> None:
    daemon.cli("configure", "pilot", "--context-size", "16000000")
    try:
        asked = daemon.cli("run", "pilot", "hi", timeout=20)
        assert asked.returncode == 1
        assert "are missing" in asked.stderr
        assert "--context-size" in asked.stderr
        assert not daemon.engine_pids()
    finally:
        daemon.cli("configure", "pilot")


def test_why_tells_of_a_refusal_and_of_new_settings(daemon: Daemon) -> None:
    daemon.cli("run", "--detach", "pilot")
    daemon.cli("configure", "pilot", "--context-size", "16777216")
    refused = daemon.cli("run", "pilot", "hi")
    assert refused.returncode
    daemon.cli("configure", "pilot")
    rows = json.loads(daemon.cli("why", "pilot", "--json").stdout)
    whys = {row["what"]: row.get("why", "") for row in rows}
    assert whys["stopping"] == "its settings were changed"
    assert "are missing" in whys["refused"]
    assert whys["refused"] in refused.stderr


def test_why_tells_what_happened(daemon: Daemon) -> None:
    daemon.cli("run", "pilot", "hi")
    daemon.cli("unload", "pilot")
    rows = json.loads(daemon.cli("why", "pilot", "--json").stdout)
    seen = [row["what"] for row in rows]
    assert seen.index("loading") < seen.index("ready") < seen.index("stopping")
    assert any("unloaded" in row.get("why", "") for row in rows)
    assert "model not found" in daemon.cli("why", "nonesuch").stderr


def test_recommend_and_doctor(daemon: Daemon) -> None:
    table = daemon.cli("recommend", "pilot").stdout
    assert "Q4_K_M" in table
    assert table.count("recommended") == 1
    assert "pilot" in daemon.cli("recommend").stdout
    examined = daemon.cli("doctor")
    assert examined.returncode == 0
    assert "llama.cpp" in examined.stdout
    checks = json.loads(daemon.cli("doctor", "--json").stdout)
    assert {"CPU", "memory", "disk"} <= {check["topic"] for check in checks}


def test_wrong_questions_get_one_clear_line(daemon: Daemon) -> None:
    absent = daemon.cli("plan", "127.0.0.1:9/no/such")
    assert "127.0.0.1:9/no/such is not on this machine, and elsewhere:" in absent.stderr
    for words in (("plan", "pilot", "--mode", "singing"), ("plan",), ("recommend", "a:b:c/d")):
        done = daemon.cli(*words)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_a_plan_shows_what_was_measured_last_time(daemon: Daemon) -> None:
    daemon.cli("run", "pilot", "hi")
    shown = daemon.cli("plan", "pilot")
    assert "measured" in shown.stdout
    (host,) = json.loads(daemon.cli("plan", "pilot", "--json").stdout)["devices"]
    parts = {part["name"]: part for part in host["parts"]}
    for name in ("cache", "compute", "output"):
        # The log has two decimals.
        assert abs(parts[name]["bytes"] - parts[name]["measured"]) < 16 * 1024


def test_a_plan_shows_how_fast_it_was_last_time(daemon: Daemon) -> None:
    body = {"model": "pilot", "prompt": "hello", "max_tokens": 40, "ignore_eos": True}
    assert ask(daemon, "POST", "/v1/completions", body).status == 200
    for _ in range(2):
        shown = daemon.cli("plan", "pilot").stdout
        assert "tokens/s, by how fast this machine reads memory; " in shown
        assert "tokens/s measured last time" in shown
        daemon.cli("unload", "pilot")


def test_configured_flags_reach_plan_and_engine(daemon: Daemon) -> None:
    before = json.loads(daemon.cli("plan", "pilot", "--json").stdout)
    flags = ("--parallel", "2", "--kv-type", "q8_0", "--gpu", "never", "--pin")
    done = daemon.cli("configure", "pilot", *flags)
    assert done.returncode == 0, done.stderr
    try:
        after = json.loads(daemon.cli("plan", "pilot", "--json").stdout)
        assert (before["slots"], after["slots"]) == (4, 2)
        caches = [plan["devices"][0]["parts"][1]["bytes"] for plan in (before, after)]
        assert caches[1] == caches[0] * 17 // 32
        assert daemon.cli("run", "pilot", "hi").returncode == 0
        shown = daemon.cli("ps", "--memory").stdout
        assert "Forever" in shown
        assert "MEMORY" in shown
        assert "MiB" in shown
        (host,) = json.loads(daemon.cli("plan", "pilot", "--json").stdout)["devices"]
        assert abs(host["parts"][1]["bytes"] - host["parts"][1]["measured"]) < 16 * 1024
    finally:
        daemon.cli("configure", "pilot")
        daemon.cli("unload", "pilot")


def test_a_gpu_that_is_required_and_not_there_is_said(daemon: Daemon) -> None:
    daemon.cli("configure", "pilot", "--gpu", "required")
    try:
        asked = daemon.cli("run", "pilot", "hi")
        if asked.returncode:
            assert "a GPU is required and this machine has none" in asked.stderr
    finally:
        daemon.cli("configure", "pilot")
    wrong = daemon.cli("configure", "pilot", "--pin", "--keep-alive", "5m")
    assert wrong.returncode == 2
    assert "exclude each other" in wrong.stderr


def test_plan_and_why_show_what_vllm_is_given(daemon: Daemon, tmp_path: Path) -> None:
    shape = {
        "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 8, "num_attention_heads": 4,
        "hidden_size": 64, "head_dim": 16, "max_position_embeddings": 131_072,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(shape))
    tensors = {"model.embed_tokens.weight": np.zeros((100, 64), np.float32)}
    save_file(tensors, tmp_path / "model.safetensors")
    done = daemon.cli("package", "--copy", "--safetensors", str(tmp_path), "me/vllm")
    assert done.returncode == 0, done.stderr
    shown = daemon.cli("plan", "me/vllm", "--context-size", "100000")
    assert "with vllm" in shown.stdout
    assert "100000 tokens, with room for 4 conversations of that length" in shown.stdout
    flags = daemon.cli("configure", "me/vllm", "--", "--tensor-parallel-size", "9")
    assert flags.returncode == 0, flags.stderr
    divided = daemon.cli("plan", "me/vllm")
    assert "vLLM is to use 9 GPUs, and there are none that it can use" in divided.stdout
    assert daemon.cli("configure", "me/vllm").returncode == 0
    refused = daemon.cli("plan", "me/vllm", "--context-size", "1000000000")
    assert refused.returncode == 1
    assert "it would fit with --context-size" in refused.stdout
    assert "vllm is not installed" in daemon.cli("run", "me/vllm", "hi").stderr
    plan = json.loads(daemon.cli("plan", "me/vllm", "--json").stdout)
    room = f"room for {plan['slots']} conversations of {plan['context']} tokens"
    assert room in daemon.cli("why", "me/vllm").stdout
