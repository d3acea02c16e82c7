"""Engines: how to start, watch and stop the programs that run models."""

from stoker.engines.launcher import LocalLauncher
from stoker.engines.orphans import reap_orphans
from stoker.engines.registry import engine_for, known_engines
from stoker.engines.spec import (
    Build,
    Command,
    Diagnosis,
    Engine,
    Instance,
    Launcher,
    Reason,
)

__all__ = [
    "Build", "Command", "Diagnosis", "Engine", "Instance", "Launcher", "LocalLauncher", "Reason",
    "engine_for", "known_engines", "reap_orphans",
]  # fmt: skip
