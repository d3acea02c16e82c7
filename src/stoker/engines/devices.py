"""The devices an engine itself can use, in its own words: `--list-devices`.

A driver may see a GPU that the engine was not built for; what counts for placement is this list.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from stoker.base.errors import NotInstalled
from stoker.engines.llamacpp_program import Program
from stoker.planner.devices import Device, DeviceKind

logger = logging.getLogger(__name__)

_LINE: Final = re.compile(r"^ +(\S+): (.*) \((\d+) MiB, (\d+) MiB free\)$")
_MIB: Final = 1024 * 1024
_WITHIN: Final = 10.0
"""Seconds; drivers of a sleeping GPU take a while to wake it."""


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

    What a build can use changes only with the build, so an empty list is remembered.
    """

    def __init__(self, find: Callable[[], Program]) -> None:
        self._find = find
        self._without: Program | None = None

    async def __call__(self) -> tuple[Device, ...]:
        """The devices with what is free of them now; none when the program cannot say."""
        try:
            program = self._find()
        except NotInstalled:
            return ()
        if program == self._without:
            return ()
        devices = parse_devices(await _ask(program))
        if not devices:
            self._without = program
        return devices


async def _ask(program: Program) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *program.argv,
            "--list-devices",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        logger.warning("no list of devices program=%s: %s", program.argv[0], error)
        return ""
    try:
        async with asyncio.timeout(_WITHIN):
            output, _ = await process.communicate()
    except TimeoutError:
        logger.warning("no list of devices within %s s program=%s", _WITHIN, program.argv[0])
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode("utf-8", "replace")
