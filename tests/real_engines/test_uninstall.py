"""What `uninstall-runner` leaves: nothing of the engines, and a llama.cpp that answers."""

from tests.components.daemon import Daemon
from tests.components.debian import parts_cache
from tests.components.http import ask

from .conftest import HOUR, running

CHAT = {"model": "pilot", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


def test_without_a_trace(vllm: Daemon, native: Daemon) -> None:
    home = vllm.home
    (home / "cache" / "engines").unlink()  # what is kept for the next run stays
    vllm.cli("unload", "--all")
    for engine in ("vllm", "llama.cpp"):
        done = native.cli("uninstall-runner", "--backend", engine, timeout=HOUR)
        assert done.stdout == f"Uninstalled {engine} backend\n", done.stderr
    assert {path.name for path in (home / "engines").iterdir()} <= {".trash"}
    assert ask(vllm, "POST", "/engines/v1/chat/completions", CHAT).status == 200
    assert running(vllm, "pilot")["build"] == "b11549 (wheel)"
    gone = ask(vllm, "POST", "/engines/v1/chat/completions", {**CHAT, "model": "test/pilot-vllm"})
    assert gone.status == 412
    assert "stoker install-runner --backend vllm" in gone.json["error"]["message"]


def test_the_cache_is_there_for_the_next_run(native: Daemon) -> None:
    assert list((parts_cache() / "engines").glob("llama.cpp/wheels-*-native/*.whl"))
