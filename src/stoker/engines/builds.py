"""Engine builds made by `install-runner`: side by side on disk, the newest good one runs.

    <engines>/llama.cpp/native-b11549/build.json      the manifest: without it there is no build
                                     /bin/python      a private environment

A build is made in a staging directory and appears by one rename. Nothing is ever changed in a
build that may be running; what is superseded goes away when the daemon starts (`sweep`).
"""

import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final, final

import msgspec

from stoker.base.errors import StorageError
from stoker.engines.trash import discard

logger = logging.getLogger(__name__)

_MANIFEST: Final = "build.json"
_STAGING: Final = ".staging-"
_KEPT: Final = 2
"""Builds of one variant that stay: the one in use and the one to fall back to."""
_FOR_PROCESSORS: Final = frozenset({"native", "cpu", "release"})


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a build says of itself. `made` in unix seconds."""

    engine: str
    variant: str
    """`native`, `vulkan`, `cuda`, `cpu`, ..."""
    version: str
    """As shown to people, such as `b11549`."""
    requirement: str
    """The package it was made of, such as `xllamacpp==2026.10.11549`, or an archive's digest."""
    made: float
    program: str = ""
    """What runs, below its directory; empty for the Python of a private environment."""
    retired: str = ""
    """Why it is not used any more; empty while it is good."""


@dataclass(frozen=True, slots=True)
class InstalledBuild:
    """A build on this disk."""

    directory: Path
    manifest: Manifest

    @property
    def python(self) -> Path:
        """The interpreter of its private environment."""
        return self.directory / "bin" / "python"

    @property
    def executable(self) -> Path:
        """What runs: its own program, or `python`."""
        program = self.manifest.program
        return self.directory / program if program else self.python

    @property
    def gpu(self) -> str:
        """The kind of GPU it is for, as `--gpu` names it; `none` for the processor."""
        variant = self.manifest.variant
        return "none" if variant in _FOR_PROCESSORS else variant.removeprefix("release-")

    def serves(self, requirement: str) -> bool:
        """Whether it is good and made of that package; the empty text means any.

        A program of its own needs no package of ours to be driven by.
        """
        mine = self.manifest
        return not mine.retired and (bool(mine.program) or requirement in ("", mine.requirement))


@final
class Builds:
    """The builds under one directory. One daemon owns it; reading needs no lock.

    `gpu`: prefer builds for that kind; `auto` has no preference, `none` uses no build for a GPU.
    """

    def __init__(
        self, root: Path, *, gpu: str = "auto", clock: Callable[[], float] = time.time
    ) -> None:
        self.root: Final = root
        self.gpu: Final = gpu
        self._clock = clock
        self.changes = 0
        """Grows whenever another build may be the preferred one."""
        self._retired: dict[Manifest, Manifest] = {}
        """What the disk did not take: known until the daemon ends."""

    def all(self, engine: str) -> tuple[InstalledBuild, ...]:
        """Newest first, retired ones too. Unreadable ones are left out."""
        try:
            names = [entry.path for entry in os.scandir(self.root / engine)]
        except OSError:
            return ()  # nothing was ever installed
        found = (_read(Path(name)) for name in names)
        builds = [
            replace(build, manifest=self._retired.get(build.manifest, build.manifest))
            for build in found
            if build is not None
        ]
        return tuple(sorted(builds, key=lambda build: build.manifest.made, reverse=True))

    def usable(self, engine: str, requirement: str = "") -> tuple[InstalledBuild, ...]:
        """Those that `command` may use, the preferred one first: the last that was installed."""
        found = [build for build in self.all(engine) if build.serves(requirement)]
        if self.gpu == "none":
            return tuple(build for build in found if build.gpu == "none")
        return tuple(sorted(found, key=lambda build: build.gpu != self.gpu))

    def staging(self, engine: str, variant: str) -> Path:
        """The path for a new build, nothing there; what a broken attempt left is removed.

        Raises StorageError.
        """
        path = self.root / engine / f"{_STAGING}{variant}"
        try:
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _trouble(path, error) from error
        return path

    def adopt(
        self,
        staging: Path,
        *,
        engine: str,
        variant: str,
        version: str,
        requirement: str,
        program: str = "",
    ) -> InstalledBuild:
        """Make a finished staging directory the preferred build. Raises StorageError."""
        manifest = Manifest(engine, variant, version, requirement, self._clock(), program)
        try:
            _write(staging, manifest)
            target = next(
                path
                for number in count()
                if not (path := staging.with_name(_name(variant, version, number))).exists()
            )
            staging.rename(target)
        except OSError as error:
            raise _trouble(staging, error) from error
        self.changes += 1
        logger.info("engine build installed engine=%s build=%s", engine, target.name)
        return InstalledBuild(target, manifest)

    def retire(self, build: InstalledBuild, reason: str) -> None:
        """Use it no more, and remember why; on a full disk, for as long as the daemon runs."""
        self.changes += 1
        logger.warning("engine build retired build=%s: %s", build.directory.name, reason)
        retired = msgspec.structs.replace(build.manifest, retired=reason)
        try:
            _write(build.directory, retired)
        except OSError as error:
            logger.warning("not noted for later: %s", _trouble(build.directory, error))
            self._retired[build.manifest] = retired

    def remove(self, engine: str, *, gpu: str = "") -> int:
        """Discard an engine's builds, or only those for a kind of GPU; how many there were.

        Raises StorageError.
        """
        self.changes += 1
        builds = [build for build in self.all(engine) if gpu in ("", build.gpu)]
        if not gpu:
            discard(self.root, self.root / engine)
        else:
            for build in builds:
                discard(self.root, build.directory)
        return len(builds)

    def sweep(self, engine: str) -> None:
        """Discard leftovers of attempts and superseded builds. Only while no engine runs."""
        seen: dict[str, int] = {}
        keep = set()
        for build in self.all(engine):
            variant = build.manifest.variant
            seen[variant] = seen.get(variant, 0) + 1
            if seen[variant] <= _KEPT:
                keep.add(build.directory)
        folder = self.root / engine
        for path in folder.iterdir() if folder.is_dir() else ():
            if path not in keep:
                discard(self.root, path)


def _name(variant: str, version: str, number: int) -> str:
    return f"{variant}-{version}" + (f".{number}" if number else "")


def _read(directory: Path) -> InstalledBuild | None:
    if directory.name.startswith("."):
        return None
    try:
        manifest = msgspec.json.decode((directory / _MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    build = InstalledBuild(directory, manifest)
    return build if build.executable.exists() else None  # its Python may have been uninstalled


def _write(directory: Path, manifest: Manifest) -> None:
    part = directory / f"{_MANIFEST}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    part.replace(directory / _MANIFEST)


def _trouble(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror}", hint="check free space and permissions"
    )
