"""The table of engines, and what the package offers."""

import re

import stoker.engines
from stoker.engines import Engine, engine_for, known_engines
from stoker.planner.spec import Format
from tests.components.documents import blocks


def test_known_engines() -> None:
    engines = known_engines({"PATH": "/usr/bin"})
    assert list(engines) == ["llama.cpp", "vllm"]
    assert engine_for(Format.GGUF, engines) is engines["llama.cpp"]
    assert engine_for(Format.SAFETENSORS, engines) is engines["vllm"]
    assert engine_for(Format.DDUF, engines) is None


def test_the_handbook_has_every_member() -> None:
    (shown,) = blocks("docs/how-to/add-an-engine.md", "python")
    members = {name for name in vars(Engine) if not name.startswith("_")}
    assert members == set(re.findall(r"    def (\w+)\(self", shown))


def test_the_public_names() -> None:
    assert stoker.engines.__all__ == [
        "Build", "Command", "Diagnosis", "Engine", "Instance", "Launcher", "LocalLauncher",
        "Reason", "engine_for", "known_engines", "reap_orphans",
    ]  # fmt: skip
