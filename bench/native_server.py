"""llama-server compiled for this processor from the sources of the very version that Stoker runs.

A reference and nothing more: Stoker itself builds what `install-runner` says. Kept in the test
cache; the first time takes some ten minutes of two cores.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from tests.components.debian import parts_cache

from stoker.engines.llamacpp_program import REQUIREMENT, VERSION

_OPTIONS: Final = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_NATIVE=ON",
    "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF",
)  # fmt: skip


def ensure_llama_server() -> Path:
    """The program; whoever comes first builds it. Raises CalledProcessError."""
    folder = parts_cache() / f"llama-server-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "llama-server"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            print(f"compiling llama-server {VERSION}, a reference ...", file=sys.stderr, flush=True)
            shutil.copy2(_build(folder), folder / "part")
            (folder / "part").rename(program)
            shutil.rmtree(folder / "work")
    return program


def _build(folder: Path) -> Path:
    work = folder / "work"
    python = work / "tools" / "bin" / "python"
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(work / "tools"))
    _run(str(python), "-m", "pip", "install", "--quiet", "cmake", "ninja")
    _run(
        str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "xllamacpp",
        "--dest", str(work), REQUIREMENT,
    )  # fmt: skip
    (archive,) = work.glob("xllamacpp-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(work / "sources", filter="data")
    (sources,) = work.glob("sources/*/thirdparty/llama.cpp")
    path = f"{python.parent}:{os.environ['PATH']}"
    built = work / "build"
    _run("cmake", "-G", "Ninja", "-S", str(sources), "-B", str(built), *_OPTIONS, path=path)
    _run("cmake", "--build", str(built), "--target", "llama-server", path=path)
    return built / "bin" / "llama-server"


def _run(*command: str, path: str | None = None) -> None:
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PATH": path or os.environ["PATH"]}
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
