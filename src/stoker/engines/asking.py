"""Short questions to an engine's program: run it, read what it prints."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

logger = logging.getLogger(__name__)

_WITHIN: Final = 10.0
"""Seconds; drivers of a sleeping GPU take a while to wake it."""


async def answer_of(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """What it writes, its log too; nothing when it cannot be run, fails or takes too long."""
    question = " ".join(argv[1:4])
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        logger.warning("no answer program=%s: %s", argv[0], error)
        return ""
    try:
        async with asyncio.timeout(_WITHIN):
            output, _ = await process.communicate()
    except TimeoutError:
        logger.warning("no answer within %s s program=%s %s", _WITHIN, argv[0], question)
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        logger.warning("code %s program=%s %s", process.returncode, argv[0], question)
        return ""
    return output.decode("utf-8", "replace")
