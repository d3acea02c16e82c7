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
    name: str,
    packages: Sequence[str],
    proof: str,
    *,
    libraries: bool = False,
    release: str = "",
) -> Path:
    """The directory with these packages unpacked; `proof` is a file that must then be in it.

    `libraries`: also the shared libraries they depend on and this machine lacks. `release`: of
    Debian, such as `trixie`, where this machine's own one is too old. Raises RuntimeError that says
    what to do when this is no Debian or no package mirror is in reach.
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
            _fetch(cache, target, packages, proof, libraries=libraries, release=release)
    if not (target / proof).exists():
        raise RuntimeError(f"{', '.join(packages)} came without {proof}")
    return target


def _fetch(
    cache: Path,
    target: Path,
    packages: Sequence[str],
    proof: str,
    *,
    libraries: bool,
    release: str,
) -> None:
    work = cache / f"{target.name}.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # The machine's own package lists if it has any, else lists of our own: neither needs root.
    own: list[str] = []
    if release or _run(["apt-get", "download", *packages], work).returncode != 0:
        own = _own_lists(cache, release)
        _run(["apt-get", *own, "update"], work)
        _download(packages, own, work)
    root = work / "root"
    _unpack(work, root)
    wanted = list(packages)
    # A library may need another one; skopeo's chain is three long.
    for _ in range(5):
        if not libraries or not _lacks_libraries(root / proof, root):
            break
        wanted = _libraries_of(wanted, own, work)
        _download(wanted, own, work)
        _unpack(work, root)
    shutil.rmtree(target, ignore_errors=True)
    root.rename(target)
    shutil.rmtree(work, ignore_errors=True)


def library_path(root: Path) -> str:
    """`LD_LIBRARY_PATH` for programs unpacked under `root`."""
    return ":".join(str(p) for p in (*root.glob("usr/lib/*-linux-*"), *root.glob("lib/*-linux-*")))


def _download(packages: Sequence[str], own: Sequence[str], work: Path) -> None:
    attempt = _run(["apt-get", *own, "download", *packages], work)
    if attempt.returncode != 0:
        raise RuntimeError(
            f"cannot fetch {', '.join(packages)} with apt-get: {attempt.stderr[-600:]}"
        )


def _unpack(work: Path, root: Path) -> None:
    for package in sorted(work.glob("*.deb")):
        result = _run(["dpkg", "-x", str(package), str(root)], work)
        if result.returncode != 0:
            raise RuntimeError(f"cannot unpack {package.name}: {result.stderr[-600:]}")
        package.unlink()


def _lacks_libraries(program: Path, root: Path) -> bool:
    listed = _run(["ldd", str(program)], root, LD_LIBRARY_PATH=library_path(root)).stdout
    return "not found" in listed


def _libraries_of(packages: Sequence[str], own: Sequence[str], work: Path) -> list[str]:
    """Library packages that these depend on and that are not installed."""
    listed = _run(["apt-cache", *own, "depends", *packages], work).stdout.splitlines()
    names = {line.split()[-1] for line in listed if line.strip().startswith("Depends: lib")}
    query = _run(["dpkg-query", "-W", "-f", "${Package} ${Status}\\n", *sorted(names)], work)
    installed = {
        line.split()[0] for line in query.stdout.splitlines() if line.endswith("ok installed")
    }
    return sorted(names - installed)


def _own_lists(cache: Path, release: str) -> list[str]:
    state = cache / (f"apt-{release}" if release else "apt")
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    own = [f"-oDir::State::Lists={state / 'lists'}", f"-oDir::Cache={state}"]
    if not release:
        return own
    sources = state / "sources.list"
    sources.write_text(f"deb {_mirror(state)} {release} main\n")
    return [*own, f"-oDir::Etc::SourceList={sources}", "-oDir::Etc::SourceParts=/dev/null"]


def _mirror(cwd: Path) -> str:
    """Where this machine gets Debian from."""
    found = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"], cwd).stdout
    for line in found.splitlines():
        origin, _, place = line.partition(" ")
        if origin == "Debian":
            return place
    raise RuntimeError("no mirror of Debian in this machine's package sources")


def _run(command: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **env},
    )
