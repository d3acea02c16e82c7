"""Fetches Debian packages into a user's cache and unpacks them there: no root, no installation."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT = 300.0


def parts_cache() -> Path:
    """Where test parts are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stoker-tests"


def ensure_debian_parts(
    name: str, packages: Sequence[str], proof: str, *, libraries: bool = False
) -> Path:
    """The directory with these packages unpacked; `proof` is a file that must then be in it.

    `libraries`: also the shared libraries they depend on and this machine lacks. Raises
    RuntimeError that says what to do when this is no Debian or no package mirror is in reach.
    """
    cache = parts_cache()
    target = cache / name
    if (target / proof).exists():
        return target
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise RuntimeError(f"the tests need {name}, and {tool} to fetch it (Debian or Ubuntu)")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / proof).exists():
            _fetch(cache, target, packages, libraries=libraries)
    if not (target / proof).exists():
        raise RuntimeError(f"{', '.join(packages)} came without {proof}")
    return target


def _fetch(cache: Path, target: Path, packages: Sequence[str], *, libraries: bool) -> None:
    work = cache / f"{target.name}.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # The machine's own package lists if it has any, else lists of our own: neither needs root.
    own: list[str] = []
    attempt = _run(["apt-get", "download", *packages], work)
    if attempt.returncode != 0:
        own = _own_lists(cache)
        update = _run(["apt-get", *own, "update"], work)
        attempt = _run(["apt-get", *own, "download", *packages], work)
        if attempt.returncode != 0:
            raise RuntimeError(
                f"cannot fetch {', '.join(packages)} with apt-get: "
                f"{(update.stderr + attempt.stderr)[-600:]}"
            )
    if libraries and (missing := _missing_libraries(packages, own, work)):
        attempt = _run(["apt-get", *own, "download", *missing], work)
        if attempt.returncode != 0:
            raise RuntimeError(f"cannot fetch {', '.join(missing)}: {attempt.stderr[-600:]}")
    unpacked = work / "root"
    for package in sorted(work.glob("*.deb")):
        result = _run(["dpkg", "-x", str(package), str(unpacked)], work)
        if result.returncode != 0:
            raise RuntimeError(f"cannot unpack {package.name}: {result.stderr[-600:]}")
    shutil.rmtree(target, ignore_errors=True)
    unpacked.rename(target)
    shutil.rmtree(work, ignore_errors=True)


def _missing_libraries(packages: Sequence[str], own: Sequence[str], cwd: Path) -> list[str]:
    """Library packages below these that are not installed."""
    unwanted = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    command = ["apt-cache", *own, "depends", "--recurse", *(f"--no-{kind}" for kind in unwanted)]
    listed = _run([*command, *packages], cwd).stdout.split()
    names = sorted({name for name in listed if name.startswith("lib") and "<" not in name})
    query = _run(["dpkg-query", "-W", "-f", "${Package} ${Status}\\n", *names], cwd)
    installed = {
        line.split()[0] for line in query.stdout.splitlines() if line.endswith("ok installed")
    }
    return [name for name in names if name not in installed and not name.startswith("libc6")]


def _own_lists(cache: Path) -> list[str]:
    state = cache / "apt"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    return [f"-oDir::State::Lists={state / 'lists'}", f"-oDir::Cache={state}"]


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
    )
