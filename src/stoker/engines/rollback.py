"""A build that cannot load what the one before it could is given up, with the reason.

A self-test proves that a new build works with one model. Whether it works with all of somebody's
models only shows when they are loaded; by then there should still be something to fall back to.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import util
from typing import Final, final

from stoker.base.errors import EngineError, LaunchFailed
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.llamacpp_program import Program, program_of
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
        words = [(build, _words(engine.name, build)) for build in usable]
        other = fallback(command, words, _own(engine.name), failed.reason)
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
    command: Command,
    usable: Sequence[tuple[InstalledBuild, tuple[str, ...]]],
    own: tuple[str, ...],
    reason: str,
) -> tuple[InstalledBuild, Command] | None:
    """The build this command runs and the same command with the one before; None without one.

    `usable` is newest first, each with the words of a command that run it; `own` are those of the
    engine that came with Stoker, none where none did.
    """
    if reason in _NOT_THE_BUILD:
        return None
    for at, (build, words) in enumerate(usable):
        found = _find(command.argv, words)
        if found is None:
            continue
        before = [*(older for _, older in usable[at + 1 :]), own]
        if not before[0]:
            return None
        argv = (*command.argv[:found], *before[0], *command.argv[found + len(words) :])
        return build, replace(command, argv=argv)
    return None


def _find(argv: Sequence[str], words: Sequence[str]) -> int | None:
    """Where these words stand in a row."""
    length = len(words)
    starts = range(len(argv) - length + 1)
    return next((at for at in starts if tuple(argv[at : at + length]) == tuple(words)), None)


def _words(engine: str, build: InstalledBuild) -> tuple[str, ...]:
    return program_of(build).argv if engine == LLAMACPP else (str(build.python),)


def _own(engine: str) -> tuple[str, ...]:
    has_wheel = engine == LLAMACPP and util.find_spec("xllamacpp") is not None
    return Program("wheel").argv if has_wheel else ()
