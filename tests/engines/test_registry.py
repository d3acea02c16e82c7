"""The table of engines, and what the package offers."""

import stoker.engines
from stoker.engines import engine_for, known_engines
from stoker.planner.spec import Format


def test_known_engines() -> None:
    engines = known_engines({"PATH": "/usr/bin"})
    assert list(engines) == ["llama.cpp", "vllm"]
    assert engine_for(Format.GGUF, engines) is engines["llama.cpp"]
    assert engine_for(Format.SAFETENSORS, engines) is engines["vllm"]
    assert engine_for(Format.DDUF, engines) is None


def test_the_public_names() -> None:
    assert stoker.engines.__all__ == [
        "Build", "Command", "Diagnosis", "Engine", "Instance", "Launcher", "LocalLauncher",
        "Reason", "engine_for", "known_engines", "reap_orphans",
    ]  # fmt: skip
