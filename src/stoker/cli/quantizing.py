"""`package --quantize`: the quantizer is found, or installed first, and run here on the file."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from stoker.base.errors import UserError
from stoker.base.paths import paths_of
from stoker.cli import steps
from stoker.cli.errors import doing, printable, say
from stoker.cli.local import local_root
from stoker.cli.meter import meter
from stoker.cli.session import Session
from stoker.client.endpoint import endpoint_of
from stoker.distribution.quantize import plan_quantization, quantize, quantized_name
from stoker.wire.runners import EngineBuild

_PROGRAM: Final = "llama-quantize"
_BACKEND: Final = "quantizer"


@contextmanager
def quantized(source: Path, level: str, session: Session, *, name: str = "") -> Iterator[Path]:
    """The quantized file, which is gone after the block. `name`: the source's, if not its own.

    Raises what `plan_quantization` and `quantize` raise, and DaemonError when no quantizer can be
    installed.
    """
    plan = plan_quantization(source, level)
    program = _program(session)
    with _workplace() as folder:
        target = folder / quantized_name(name or source.name, plan.level)
        with meter("Quantizing", plan.weights) as shown:
            notes = quantize(program, plan, target, done=shown.add)
        for note in notes:
            say(printable(f"note: {note}"))
        # The date of an artifact is its files'; made of the same file, it shall be the same.
        taken = source.stat()
        os.utime(target, ns=(taken.st_atime_ns, taken.st_mtime_ns))
        yield target


def _program(session: Session) -> Path:
    """A `llama-quantize`: on PATH, in a build of ours, or installed now."""
    named = os.environ.get("LLAMA_SERVER_PATH", "")
    beside = Path(named).expanduser() if named else None
    if beside and not beside.is_dir():
        beside = beside.parent
    search = f"{beside or ''}{os.pathsep}{os.environ.get('PATH', '')}"
    if found := shutil.which(_PROGRAM, path=search):
        return Path(found)
    endpoint = endpoint_of()
    if local_root(endpoint) is None:
        raise UserError(
            f"quantizing is done on this machine, and {endpoint} is not this user's service on it",
            hint=f"put llama.cpp's {_PROGRAM} on PATH, or unset {endpoint.origin}",
        )
    client = session.client()
    if made := _made(client.builds()):
        return made
    say("installing a quantizer first; it is kept")
    with doing("Failed to install a quantizer"):
        say(steps.show(client.install(_BACKEND)))
    if made := _made(client.builds()):
        return made
    raise UserError(f"the quantizer was installed, but {_PROGRAM} is not in it")


def _made(builds: Sequence[EngineBuild]) -> Path | None:
    """The newest that was made or downloaded; an engine's own comes before the separate one."""
    good = [build for build in builds if build.path and not build.retired]
    good.sort(key=lambda build: build.made, reverse=True)
    good.sort(key=lambda build: build.backend == _BACKEND)
    programs = (Path(build.path) / "bin" / _PROGRAM for build in good)
    return next((program for program in programs if os.access(program, os.X_OK)), None)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A directory for one file, on the disk of our caches; what a killed process left goes away."""
    root = paths_of().cache / "quantize"
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        pid = old.name.partition("-")[0]
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=root) as folder:
        yield Path(folder)
