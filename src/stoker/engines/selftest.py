"""Proof that a new build works: an engine answers a question, a quantizer makes a file smaller."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Final

import aiohttp

from stoker.base.errors import EngineError, LaunchFailed
from stoker.engines.launcher import LocalLauncher
from stoker.engines.orphans import SOCKET
from stoker.engines.spec import Engine, Reason
from stoker.planner.spec import Mode, ModelSpec, RunSettings

_WITHIN: Final = 60.0
_ANSWER_WITHIN: Final = 300.0
"""Seconds; a GPU's driver compiles kernels when they are first used, which may take minutes."""
_QUESTION: Final = "What is Stoker?"
_TOKENS: Final = 16
_SHORT: Final = RunSettings(context_size=256)


async def answers(engine: Engine, model: ModelSpec, settings: RunSettings = _SHORT) -> str:
    """Start the engine with the model, ask one question greedily; the answer.

    Raises EngineError: LaunchFailed when it does not load or says nothing.
    """
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        socket = Path(folder) / "engine" / SOCKET
        command = engine.command(model, Mode.COMPLETION, settings, socket)
        instance = await LocalLauncher().start(
            engine, command, label="self-test", log=lambda _line: None
        )
        try:
            return await _ask(socket, engine.name, model.name)
        finally:
            await instance.stop()


async def quantizes(program: Path, sample: Path) -> str:
    """Have that `llama-quantize` make another file of this GGUF; what came out.

    Raises EngineError when nothing does.
    """
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        target = Path(folder) / "out.gguf"
        argv = (program, "--allow-requantize", sample, target, "Q4_0")
        try:
            async with asyncio.timeout(_WITHIN):
                child = await asyncio.create_subprocess_exec(
                    *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )  # fmt: skip
                try:
                    _, said = await child.communicate()
                finally:
                    if child.returncode is None:
                        child.kill()
                        await child.wait()
        except (OSError, TimeoutError) as error:
            raise EngineError(
                f"the quantizer does not work: {error}", engine="quantizer"
            ) from error
        if child.returncode or not target.exists():
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise EngineError(f"the quantizer does not work: {last}", engine="quantizer")
        return f"it made {target.name}"


async def _ask(socket: Path, engine: str, model: str) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _QUESTION}],
        "temperature": 0,
        "max_tokens": _TOKENS,
    }
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(socket)),
                timeout=aiohttp.ClientTimeout(total=_ANSWER_WITHIN),
            ) as session,
            session.post("http://engine/v1/chat/completions", json=body) as response,
        ):
            text = await response.text()
            content = json.loads(text)["choices"][0]["message"]["content"]
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        raise _silent(engine, f"{type(error).__name__}: {error}") from error
    if not content:
        raise _silent(engine, "an empty answer")
    return str(content)


def _silent(engine: str, what: str) -> LaunchFailed:
    return LaunchFailed(
        f"the new {engine} loads its test model but does not answer: {what}",
        engine=engine,
        reason=Reason.BROKEN_ENGINE,
    )
