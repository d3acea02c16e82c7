"""What llama.cpp itself says a load would take, without loading: `llamacpp_worker --dry-run`.

Slower than our own estimate, and right about kernels we do not follow: those of GPUs.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final, final

from stoker.base.errors import StokerError
from stoker.engines.launcher import LocalLauncher
from stoker.engines.llamacpp import LlamaCpp
from stoker.planner.devices import HOST
from stoker.planner.spec import Mode, ModelSpec, RunSettings

_LINE: Final = re.compile(r"^(\w+) (\d{1,9}) (\d{1,9}) (\d{1,9})$")
_KINDS: Final = ("weights", "cache", "compute")
_MIB: Final = 1024 * 1024


@final
class DryRun:
    """Asks the build that would run a model, confined as it would be then.

    `run_dir`: for a directory of its own, which is gone after.
    """

    def __init__(self, engine: LlamaCpp, launcher: LocalLauncher, run_dir: Path) -> None:
        self._engine = engine
        self._launcher = launcher
        self._run_dir = run_dir
        self._numbers = count(1)

    async def __call__(
        self, model: ModelSpec, mode: Mode, settings: RunSettings
    ) -> dict[str, dict[str, int]]:
        """Device to kind of buffer to bytes, in whole MiB and without a projector.

        Empty when the build cannot say.
        """
        socket = self._run_dir / f"try-{next(self._numbers)}" / "e.sock"
        try:
            command = self._engine.command(model, mode, settings, socket)
            words = self._engine.worker()
        except StokerError:
            return {}  # the load will say so
        if not words:
            return {}
        argv = (*command.argv[: len(words)], "--dry-run", *command.argv[len(words) :])
        return read_sizes(await self._launcher.output(self._engine, replace(command, argv=argv)))


def read_sizes(lines: Iterable[str]) -> dict[str, dict[str, int]]:
    """From what it printed: name, weights, cache and compute in MiB, a line for each device."""
    found = (_LINE.match(line) for line in lines)
    return {
        HOST if match[1] == "Host" else match[1]: {
            kind: int(size) * _MIB for kind, size in zip(_KINDS, match.groups()[1:], strict=True)
        }
        for match in found
        if match
    }
