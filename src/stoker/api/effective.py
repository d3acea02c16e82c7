"""`GET /engines/_configure/effective?model=`: what a model runs with, who decided it, the proof."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from aiohttp import web

from stoker.api.query import reads
from stoker.api.views import json_response
from stoker.base.errors import DoesNotFit, UserError
from stoker.engines.spec import Engine
from stoker.engines.witness import PATHS, account_of
from stoker.gateway.connection import EngineGone
from stoker.gateway.upstream import Upstreams
from stoker.library import Library
from stoker.library.effective import disagreements, effective
from stoker.library.planning import RunPlanner
from stoker.planner.spec import Mode, ModelSpec
from stoker.scheduler import RunnerKey, RunnerState, RunnerStatus, Scheduler
from stoker.wire.config import Effective, EffectiveModel, Running

_WITHIN: Final = 5.0
"""Seconds for an engine to describe itself; a busy one answers between two tokens."""


class EffectiveQuery(msgspec.Struct):
    """Without `backend`: the engine that would run it."""

    model: str
    mode: Mode = Mode.COMPLETION
    backend: str = ""


class EffectiveRoutes:
    """Asks the running engine, and starts none."""

    def __init__(
        self,
        *,
        library: Library,
        planner: RunPlanner,
        scheduler: Scheduler,
        engines: Mapping[str, Engine],
        upstreams: Upstreams,
    ) -> None:
        self._library = library
        self._planner = planner
        self._scheduler = scheduler
        self._engines = engines
        self._upstreams = upstreams

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/engines/_configure/effective", self.effective)

    @reads(EffectiveQuery)
    async def effective(self, request: web.Request, query: EffectiveQuery) -> web.StreamResponse:
        """Of a loaded model what it was started with, else what it would be started with."""
        del request
        model = await self._library.resolve_like(query.model)
        mode = query.mode
        engine = self._engine(query.backend, model)
        configured = self._planner.settings(engine.name, model, mode)
        key = RunnerKey(engine.name, model.id, mode)
        runner = next((one for one in self._scheduler.status() if one.key == key), None)
        answer = EffectiveModel(model=model.name, backend=engine.name, mode=mode.value)
        if runner:
            run = runner.settings
        else:
            run = configured
            try:
                run = (await self._planner.ways(engine.name, model, mode, configured))[0].settings
            except DoesNotFit as error:
                answer.problem = error.message
                answer.hint = error.hint or ""
        answer.settings = effective(engine.name, model, mode, configured, run)
        if runner:
            answer.running = await self._running(runner, answer.settings)
        return json_response(answer)

    def _engine(self, named: str, model: ModelSpec) -> Engine:
        able = [one for one in self._engines.values() if model.format in one.formats]
        found = next((one for one in able if named in ("", one.name)), None)
        if found is None:
            raise UserError(f"{named or 'no engine here'} does not run {model.format} models")
        return found

    async def _running(self, runner: RunnerStatus, settings: Mapping[str, Effective]) -> Running:
        shown = Running(runner.state.value, runner.pid or 0, runner.build)
        if runner.state is not RunnerState.READY or runner.socket is None:
            return shown
        unified = settings["kv-unified"].value if "kv-unified" in settings else True
        try:
            async with asyncio.timeout(_WITHIN):
                answers = [
                    await self._ask(runner, path) for path in PATHS.get(runner.key.engine, ())
                ]
            shown.says = account_of(runner.key.engine, answers, unified=unified)
        except (TimeoutError, EngineGone, msgspec.MsgspecError, IndexError) as error:
            shown.problem = f"its engine does not describe itself: {str(error) or 'too slow'}"
        shown.differs = disagreements(shown.says, settings)
        return shown

    async def _ask(self, runner: RunnerStatus, path: str) -> bytes:
        if runner.socket is None:
            raise EngineGone("not ready")
        async with self._upstreams.get(runner.socket, path) as answer:
            return await answer.whole()
