"""Which llama.cpp to run: a build of ours, the wheel that Stoker depends on, or a program."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Final

from stoker.base.errors import NotInstalled
from stoker.engines import tether
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.confinement import roots_of
from stoker.engines.llamacpp_worker import WHEEL_VERSION

NAME: Final = "llama.cpp"
REQUIREMENT: Final = f"xllamacpp=={WHEEL_VERSION}"
"""The package that the worker can drive; an installed build of another one is not used."""
VERSION: Final = "b" + WHEEL_VERSION.rpartition(".")[2]
"""llama.cpp's own build number is the last part of the package's version."""

_WORKER: Final = Path(__file__).with_name("llamacpp_worker.py")


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a `llama-server` when that is a path, else the worker with that Python."""

    source: str
    llama_server: Path | None = None
    python: Path = Path(sys.executable)

    @property
    def argv(self) -> tuple[str, ...]:
        """The first words of the command."""
        if self.llama_server is None:
            return (str(self.python), "-I", tether.__file__, str(_WORKER))
        return tether.tethered([str(self.llama_server)])

    @property
    def roots(self) -> tuple[Path, ...]:
        """Directories with the program and its libraries."""
        if self.llama_server is None:
            return roots_of(self.python)
        place = self.llama_server.resolve().parent
        return (self.llama_server.parent, place, place.parent / "lib", place.parent / "lib64")


def find_program(environ: Mapping[str, str], builds: Builds | None = None) -> Program:
    """The first of: LLAMA_SERVER_PATH, an installed build, the wheel, `llama-server` on PATH.

    LLAMA_SERVER_PATH is a file, a directory that holds `llama-server`, or a name to look up on
    PATH. Raises NotInstalled.
    """
    search = environ.get("PATH")
    if named := environ.get("LLAMA_SERVER_PATH"):
        path = Path(named).expanduser()
        found = shutil.which(path / "llama-server" if path.is_dir() else path, path=search)
        if found is None:
            raise NotInstalled(
                f"LLAMA_SERVER_PATH={named} is neither a llama-server nor a directory with one",
                engine=NAME,
                hint="correct it, or unset it to use the built-in llama.cpp",
            )
        return Program("LLAMA_SERVER_PATH", Path(found))
    for build in builds.usable(NAME, REQUIREMENT) if builds else ():
        return program_of(build)
    if util.find_spec("xllamacpp") is not None:
        return Program("wheel")
    if system := shutil.which("llama-server", path=search):
        return Program("system", Path(system))
    raise NotInstalled(
        "llama.cpp is not installed: found neither the xllamacpp wheel nor llama-server",
        engine=NAME,
        hint="pip install xllamacpp, or set LLAMA_SERVER_PATH",
    )


def program_of(build: InstalledBuild) -> Program:
    """What an installed build runs."""
    if build.manifest.program:
        return Program(build.manifest.variant, build.executable)
    return Program(build.manifest.variant, python=build.python)


def version_of(program: Program) -> str:
    """As people know it, such as `b11549`. May run the program once."""
    path = program.llama_server
    return _native_version(path, path.stat().st_mtime_ns) if path else VERSION


@lru_cache(maxsize=4)
def _native_version(program: Path, _modified: int) -> str:
    """What `llama-server --version` says; asked once for every version of the file."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(rb"^version: *(\w+)", answer.stdout, re.MULTILINE)
    return f"b{found[1].decode()}" if found else "unknown"
