"""The devices an engine itself can use, in its own words: `--list-devices`.

A driver may see a GPU that the engine was not built for; what counts for placement is this list.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from stoker.base.errors import NotInstalled
from stoker.engines.asking import answer_of
from stoker.engines.environment import inherited
from stoker.engines.llamacpp_program import Program
from stoker.planner.devices import Device, DeviceKind

_LINE: Final = re.compile(r"^ +(\S+): (.*) \((\d+) MiB, (\d+) MiB free\)$")
_MIB: Final = 1024 * 1024
_REST: Final = 6
"""After no answer, how many times as long as that took nothing is asked."""


def parse_devices(text: str) -> tuple[Device, ...]:
    """What llama.cpp printed; lines that are no devices, such as greetings, are skipped."""
    found = (_LINE.match(line) for line in text.splitlines())
    return tuple(
        Device(
            id=match[1],
            name=match[2],
            kind=DeviceKind.SHARED
            if match[1].startswith(("Metal", "MTL"))
            else DeviceKind.DISCRETE,
            total=int(match[3]) * _MIB,
            free=int(match[4]) * _MIB,
        )
        for match in found
        if match
    )


class EngineDevices:
    """Asks the program that would run a model; `find` raises NotInstalled when there is none.

    `environ`: what engines inherit from. Its variables choose devices for them, and so for this:
    CUDA_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES, GGML_VK_VISIBLE_DEVICES.
    What a build can use changes only with the build, so an empty list is remembered; that it gave
    no answer is not, for a driver may have been asleep. One that hangs is left alone for a while:
    whoever loads a model waits for the answer.
    """

    def __init__(
        self,
        find: Callable[[], Program],
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._environment = inherited(environ)
        self._clock = clock
        self._without: Program | None = None
        self._silent: tuple[Program, float] | None = None
        """Which one gave no answer, and until when it is not asked again."""

    async def __call__(self) -> tuple[Device, ...]:
        """The devices with what is free of them now; none when the program cannot say."""
        try:
            program = self._find()
        except NotInstalled:
            return ()
        began = self._clock()
        resting = self._silent and self._silent[0] == program and began < self._silent[1]
        if program == self._without or resting:
            return ()
        said = await answer_of((*program.argv, "--list-devices"), self._environment)
        devices = parse_devices(said)
        if said and not devices:
            self._without = program
        if not said:
            now = self._clock()
            self._silent = program, now + _REST * (now - began)
        return devices
