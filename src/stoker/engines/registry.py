"""The engines that this Stoker knows, by the name used in URLs and tables."""

from collections.abc import Mapping
from types import MappingProxyType

from stoker.engines.builds import Builds
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.spec import Engine
from stoker.engines.vllm import Vllm
from stoker.planner.spec import Format


def known_engines(
    environ: Mapping[str, str],
    *,
    builds: Builds | None = None,
    threads: int | None = None,
    gpus: bool = True,
) -> Mapping[str, Engine]:
    """One of each, by name, in order of preference for a format that several read.

    `environ` is where they look for programs and settings, `builds` what was installed; `threads`
    bounds the CPU cores of one model; `gpus` False keeps llama.cpp's models off them.
    """
    engines: tuple[Engine, ...] = (
        LlamaCpp(environ, threads=threads, builds=builds, gpus=gpus),
        Vllm(environ, builds=builds),
    )
    return MappingProxyType({engine.name: engine for engine in engines})


def engine_for(model_format: Format, engines: Mapping[str, Engine]) -> Engine | None:
    """The preferred engine that reads this format, installed or not; None when there is none."""
    return next((engine for engine in engines.values() if model_format in engine.formats), None)
