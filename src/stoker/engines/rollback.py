"""A build that cannot load what the one before it could is given up, with the reason.

A self-test proves that a new build works with one model. Whether it works with all of somebody's
models only shows when they are loaded; by then there should still be something to fall back to.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Final, final

from stoker.base.errors import EngineError, LaunchFailed
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.spec import Command, Engine, Instance, Launcher, Reason

logger = logging.getLogger(__name__)

_NOT_THE_BUILD: Final = frozenset({
    Reason.BAD_ARGUMENTS, Reason.BAD_TEMPLATE, Reason.OUT_OF_MEMORY, Reason.ADDRESS_IN_USE,
})  # fmt: skip
"""Failures that another build would have too, or that say nothing about this one."""


@final
class Rollback:
    """A Launcher around another one: when a start fails, the build before gets a try."""

    def __init__(self, launcher: Launcher, builds: Builds) -> None:
        self._launcher = launcher
        self._builds = builds

    async def start(
        self,
        engine: Engine,
        command: Command,
        *,
        label: str,
        log: Callable[[str], None],
        progress: Callable[[float], None] = lambda _: None,
    ) -> Instance:
        """Start and wait for readiness, see `Launcher`. Raises LaunchFailed, NotReadyInTime."""
        try:
            return await self._launcher.start(
                engine, command, label=label, log=log, progress=progress
            )
        except LaunchFailed as error:
            failed = error
        usable = self._builds.usable(engine.name)
        other = fallback(command, usable, _own_python(engine.name), failed.reason)
        if other is None:
            raise failed
        build, older = other
        name = f"{build.manifest.variant} {build.manifest.version}"
        logger.warning("%s cannot load %s, trying what ran before: %s", name, label, failed)
        try:
            instance = await self._launcher.start(
                engine, older, label=label, log=log, progress=progress
            )
        except EngineError:
            raise failed from None  # then it is not the build's fault
        self._builds.retire(build, f"it cannot load {label}, which the one before can: {failed}")
        return instance


def fallback(
    command: Command, usable: Sequence[InstalledBuild], own: Path | None, reason: str
) -> tuple[InstalledBuild, Command] | None:
    """The build this command runs and the same command with the one before; None without one.

    `usable` is newest first; `own` is the interpreter of the engine that came with Stoker.
    """
    if reason in _NOT_THE_BUILD:
        return None
    pythons = [str(build.python) for build in usable]
    current = next((at for at, python in enumerate(pythons) if python in command.argv), None)
    if current is None:
        return None
    before = [*pythons[current + 1 :], *([str(own)] if own else [])]
    if not before:
        return None
    argv = tuple(before[0] if word == pythons[current] else word for word in command.argv)
    return usable[current], replace(command, argv=argv)


def _own_python(engine: str) -> Path | None:
    has_wheel = engine == "llama.cpp" and util.find_spec("xllamacpp") is not None
    return Path(sys.executable) if has_wheel else None
