"""Proof that a new build works: it loads a model, answers a question, and leaves when told."""

import json
import tempfile
from pathlib import Path
from typing import Final

import aiohttp

from stoker.base.errors import LaunchFailed
from stoker.engines.launcher import LocalLauncher
from stoker.engines.orphans import SOCKET
from stoker.engines.spec import Engine, Reason
from stoker.planner.spec import Mode, ModelSpec, RunSettings

_WITHIN: Final = 60.0
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
                timeout=aiohttp.ClientTimeout(total=_WITHIN),
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
