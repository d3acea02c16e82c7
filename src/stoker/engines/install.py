"""Carries out recipes: programs one after the other, a self-test, one atomic switch."""

import asyncio
import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final, final

from stoker.base.errors import EngineError, StokerError, StorageError
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.logs import LineTail
from stoker.engines.process import STOP_GRACE, ChildProcess
from stoker.engines.recipe import Recipe, Step
from stoker.engines.tether import PARENT_VARIABLE, tethered

logger = logging.getLogger(__name__)

_DROPPED: Final = frozenset({
    "PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP",
    "VIRTUAL_ENV", "HF_TOKEN", "DOCKER_PASSWORD",
})  # fmt: skip
"""Would put packages in other places, or is none of a build script's business."""

_PERCENT: Final = re.compile(r"^\s*\[ *(\d{1,3})%\] ")
_OF: Final = re.compile(r"^\s*\[(\d+)/(\d+)\] ")
_SAYS_WHY: Final = re.compile(r"\berror\b|ERROR|fatal|No space left|Killed|not found", re.ASCII)
_NOISE: Final = re.compile(
    r"[Ww]arning:|not a git repository|subprocess|Failed building wheel|with status 'error'"
)
"""Sounds so, and is not why: CMake asks git for a version, pip says that what it ran has failed."""
_CMAKE_ERROR: Final = "CMake Error"
_ANEW: Final = 40
"""Percent."""
_QUOTED: Final = 4
_MANY: Final = 20


@dataclass(frozen=True, slots=True)
class State:
    """How far an installation is. `percent` of the step, None when it does not say."""

    step: str
    percent: int | None = None
    detail: str = ""


Notify = Callable[[State], None]
Settle = Callable[[Recipe, Path], Recipe]
"""What is known of a build only when its steps are done, such as a version. May block."""
SelfTest = Callable[[Path], Awaitable[str]]
"""Proves that the build in this directory works, and says how. Raises EngineError."""


@final
class Installer:
    """Makes builds. One installation of an engine at a time is the caller's business."""

    def __init__(self, builds: Builds, environ: Mapping[str, str]) -> None:
        self._builds = builds
        self._environ = {k: v for k, v in environ.items() if k not in _DROPPED}

    async def install(
        self,
        recipe: Recipe,
        staging: Path,
        test: SelfTest,
        notify: Notify,
        *,
        fresh: bool = False,
        settle: Settle = lambda recipe, _: recipe,
    ) -> InstalledBuild:
        """Carry out the recipe, test what came out, and make it the build that runs.

        `fresh`: use nothing of earlier attempts. When it fails or is cancelled, what ran before
        still runs, and a further attempt goes on where this one stopped. Raises EngineError,
        StorageError.
        """
        try:
            for path in (*recipe.kept, *recipe.scratch) if fresh else ():
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            for step in recipe.steps:
                if not _done(step):
                    await self._run(recipe, step, notify)
            notify(State("testing it"))
            said = await test(staging)
            recipe = await asyncio.to_thread(settle, recipe, staging)
            logger.info("engine build works engine=%s: %s", recipe.engine, said)
            build = self._builds.adopt(
                staging,
                engine=recipe.engine,
                variant=recipe.variant,
                version=recipe.version,
                requirement=recipe.requirement,
                program=recipe.program,
            )
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)
            raise
        for path in recipe.scratch:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        return build

    async def _run(self, recipe: Recipe, step: Step, notify: Notify) -> None:
        """One program to its end. Raises EngineError with its last words."""
        logger.info("engine installation engine=%s step=%r", recipe.engine, step.title)
        notify(State(step.title))

        said = 0

        def heard(line: str) -> None:
            nonlocal said
            logger.debug("%s: %s", recipe.engine, line)
            found = percent_of(line)
            if found is None:
                return
            # make counts anew for each of several targets, so 100 may come early, and two that are
            # made at once take turns. A count that falls far is a new one.
            percent = min(found, 99)
            if percent > said or percent < said - _ANEW:
                said = percent
                notify(State(step.title, percent))

        tail = LineTail(heard)
        own = {PARENT_VARIABLE: str(os.getpid())}
        environment = {**self._environ, **_QUIET, **step.environment, **own}
        try:
            child = await ChildProcess.spawn(
                tethered(step.argv, with_children=True),
                environment,
                tail=tail,
                label=f"install {recipe.engine}",
            )
        except OSError as error:
            raise EngineError(f"{step.argv[0]} cannot be run: {error}", engine=recipe.engine) from (
                error
            )
        try:
            code = await child.wait()
            lines = await child.last_output()
        finally:
            await child.end(STOP_GRACE)  # the whole group: no compiler is left behind
        if code:
            raise _failed(recipe, step, code, lines)


_QUIET: Final = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "NO_COLOR": "1"}


def percent_of(line: str) -> int | None:
    """How far a build is, from a line of make (`[ 42%] Building`) or ninja (`[3/7] Building`)."""
    if match := _PERCENT.match(line):
        return min(int(match[1]), 100)
    match = _OF.match(line)
    if match and int(match[2]) >= _MANY:  # a handful of files is not what takes the time
        return min(100 * int(match[1]) // int(match[2]), 100)
    return None


def reason_in(lines: Sequence[str]) -> str:
    """The lines that say why a program failed: the first complaints, or its last words."""
    complaints = [
        _whole(lines[number:])
        for number, line in enumerate(lines)
        if (_SAYS_WHY.search(line) or _CMAKE_ERROR in line) and not _NOISE.search(line)
    ]
    return "; ".join(complaints[:_QUOTED] or [line.strip() for line in lines[-_QUOTED:]])


def _whole(lines: Sequence[str]) -> str:
    """A complaint with the indented lines in which CMake says what it is about."""
    first, *rest = lines[:_QUOTED]
    if _CMAKE_ERROR not in first:
        return first.strip()
    more = takewhile(lambda line: _indent(line) > _indent(first), rest)
    return " ".join(line.strip() for line in (first, *more))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _failed(recipe: Recipe, step: Step, code: int, lines: tuple[str, ...]) -> StokerError:
    why = reason_in(lines)
    if "No space left" in why or "Errno 28" in why:
        return StorageError(
            f"the disk filled up while {step.title}", hint="make room, then install again"
        )
    if code == -9 or "Killed" in why:
        return EngineError(
            f"{step.title} was killed, most likely for want of memory",
            engine=recipe.engine,
            log_tail=lines,
            hint="unload models (stoker unload --all), then install again",
        )
    return EngineError(
        f"{step.title} failed: {why.removeprefix('error: ') or f'exit code {code}'}",
        engine=recipe.engine,
        log_tail=lines,
        hint="the whole output is in the service's log with LOG_LEVEL=debug",
    )


def _done(step: Step) -> bool:
    return any(any(made.parent.glob(made.name)) for made in step.makes)
