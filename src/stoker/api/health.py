"""`GET /health`: alive. `?deep=1`: everything a request needs works, engines included."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import msgspec
from aiohttp import web

import stoker
from stoker.api.admission import require_manager
from stoker.api.query import reads
from stoker.api.scope import Scope, open_to
from stoker.base.errors import StokerError
from stoker.gateway.answer import error_text
from stoker.gateway.connection import EngineGone
from stoker.gateway.upstream import Upstreams
from stoker.library import Library
from stoker.scheduler import RunnerState, RunnerStatus, Scheduler

_STUCK: Final = 300.0
"""Seconds without a sign of life after which a load or a stop counts as stuck. Engines write lines
and read files all the time; the longest silence is compiling kernels, some minutes."""
_ENGINE_WITHIN: Final = 5.0


class Health(msgspec.Struct, omit_defaults=True):
    """The answer. `problems` is empty when `status` is `ok`."""

    status: str
    version: str
    problems: list[str] = []
    models: int | None = None
    runners: dict[str, str] | None = None


class HealthQuery(msgspec.Struct):
    """`model`: with `deep`, that one is loaded."""

    deep: bool = False
    model: str = ""


class HealthRoutes:
    """Cheap for load balancers, deep for people and monitors.

    `load` loads the model of that name as a request would; it raises StokerError.
    """

    def __init__(
        self,
        library: Library,
        scheduler: Scheduler,
        upstreams: Upstreams,
        load: Callable[[web.Request, str], Awaitable[None]],
    ) -> None:
        self._load = load
        self._library = library
        self._scheduler = scheduler
        self._upstreams = upstreams

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/health", self.health)

    @open_to(Scope.PUBLIC)
    @reads(HealthQuery)
    async def health(self, request: web.Request, query: HealthQuery) -> web.StreamResponse:
        """200, or 503 with the problems.

        `?deep=1` changes nothing: no model is loaded or kept loaded. With `&model=NAME` that one is
        loaded, just as a request for it would do.
        """
        if not query.deep:
            return _answer(Health("ok", stoker.__version__))
        require_manager(request)
        problems: list[str] = []
        models: int | None = None
        try:
            models = len(await asyncio.to_thread(self._library.models))
        except StokerError as error:
            problems.append(f"store: {error_text(error)}")
        if query.model:
            problems += await self._loaded(request, query.model)
        runners = self._scheduler.status()
        states = await asyncio.gather(*(self._state(runner) for runner in runners))
        shown = {}
        for runner, (state, fine) in zip(runners, states, strict=True):
            name = f"{runner.name} ({runner.key.engine}, {runner.key.mode.value})"
            shown[name] = state
            if not fine:
                problems.append(f"{name}: {state}")
        status = "failing" if problems else "ok"
        return _answer(Health(status, stoker.__version__, problems, models, shown))

    async def _loaded(self, request: web.Request, name: str) -> list[str]:
        """The whole way of a request up to its engine; what stood in it."""
        try:
            await self._load(request, name)
        except StokerError as error:
            return [f"{name}: {error_text(error)}"]
        return []

    async def _state(self, runner: RunnerStatus) -> tuple[str, bool]:
        """One runner in a few words, and whether that is fine."""
        if runner.state is not RunnerState.READY or runner.socket is None:
            doing = "loading" if runner.state is RunnerState.LOADING else "stopping"
            if runner.silent_for <= _STUCK:
                return f"{doing} for {runner.age:.0f} s", True
            return f"{doing}, and stuck: no sign of life for {runner.silent_for:.0f} s", False
        try:
            async with asyncio.timeout(_ENGINE_WITHIN):
                async with self._upstreams.get(runner.socket, "/health") as answer:
                    fine = answer.status == 200
                    return "ready" if fine else f"its engine answers {answer.status}", fine
        except TimeoutError:
            return f"its engine does not answer within {_ENGINE_WITHIN:g} s", False
        except EngineGone as error:
            return f"its engine cannot be reached: {error}", False


def _answer(health: Health) -> web.Response:
    return web.Response(
        status=200 if health.status == "ok" else 503,
        body=msgspec.json.encode(health) + b"\n",
        content_type="application/json",
    )
