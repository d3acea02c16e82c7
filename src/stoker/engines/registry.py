"""The engines that this Stoker knows, by the name used in URLs and tables."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.spec import Engine
from stoker.planner.spec import Format

_MAKERS: Final[tuple[Callable[[Mapping[str, str]], Engine], ...]] = (LlamaCpp,)
"""In order of preference: the first engine that reads a model's format runs it."""


def known_engines(environ: Mapping[str, str]) -> Mapping[str, Engine]:
    """One of each, by name; `environ` is where they look for programs and settings."""
    engines = [make(environ) for make in _MAKERS]
    return MappingProxyType({engine.name: engine for engine in engines})


def engine_for(model_format: Format, engines: Mapping[str, Engine]) -> Engine | None:
    """The preferred engine that reads this format, installed or not; None when there is none."""
    return next((engine for engine in engines.values() if model_format in engine.formats), None)
