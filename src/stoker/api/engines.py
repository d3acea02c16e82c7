"""`/engines`: ps, df, unload, configure."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import psutil
from aiohttp import web

from stoker.api.models import read_json
from stoker.api.query import OfModel, reads
from stoker.api.views import json_response, runner
from stoker.base.errors import Conflict, InvalidSetting, ModelNotFound, NotFound
from stoker.engines.llamacpp_options import ALL_CONTEXT
from stoker.engines.spec import Engine
from stoker.library import Library
from stoker.library.planning import RunPlanner
from stoker.library.settings import SettingsKey, SettingsStore, run_settings
from stoker.planner.spec import Mode
from stoker.scheduler import RunnerKey, Scheduler
from stoker.store import Store
from stoker.wire import manage


class EngineRoutes:
    """The `/engines` tree, as far as it is about runners and not about answers."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        library: Library,
        settings: SettingsStore,
        engines: Mapping[str, Engine],
        store: Store,
        planner: RunPlanner,
    ) -> None:
        self._scheduler = scheduler
        self._library = library
        self._settings = settings
        self._engines = engines
        self._store = store
        self._planner = planner

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/engines/ps", self.ps)
        yield web.get("/engines/df", self.df)
        yield web.post("/engines/unload", self.unload)
        yield web.get("/engines/_configure", self.configured)
        yield web.post("/engines/_configure", self.configure)
        yield web.post("/engines/{engine}/_configure", self.configure)

    async def ps(self, request: web.Request) -> web.StreamResponse:
        del request
        now = datetime.now(UTC)
        running = self._scheduler.status()
        return json_response([runner(one, _resident(one.pid), now) for one in running])

    async def df(self, request: web.Request) -> web.StreamResponse:
        del request
        used = await asyncio.to_thread(self._store.disk_usage)
        return json_response(manage.DiskUsage(used, 0))

    async def unload(self, request: web.Request) -> web.StreamResponse:
        """Stop idle runners; busy ones are left alone."""
        asked = await read_json(request, manage.Unload)
        running = [status.key for status in self._scheduler.status()]
        if asked.backend:
            running = [key for key in running if key.engine == asked.backend]
        if not asked.all:
            wanted = set()
            for name in asked.models:
                try:
                    wanted.add(self._library.find(name).id)
                except ModelNotFound:
                    continue  # a model that is not here is not running either
            running = [key for key in running if key.model in wanted]
        return json_response(manage.Unloaded(self._scheduler.unload(frozenset(running))))

    @reads(OfModel)
    async def configured(self, request: web.Request, query: OfModel) -> web.StreamResponse:
        """Settings of all models, or of `?model=`; those of removed models are not shown."""
        del request
        name = query.model
        here = {self._library.find(name).id} if name else {m.id for m in self._library.models()}
        return json_response([e for e in self._settings.entries() if e.model_id in here])

    async def configure(self, request: web.Request) -> web.StreamResponse:
        """Replace the settings of a model in one mode; an idle runner is stopped to use them."""
        asked = await read_json(request, manage.Configure)
        model = self._library.named(asked.model)
        engine = self._engine(request.match_info.get("engine"), model.config.format)
        flags = asked.runtime_flags or _split(asked.raw_runtime_flags)
        config = manage.Configuration(
            context_size=asked.context_size,
            runtime_flags=flags,
            speculative=asked.speculative,
            keep_alive=asked.keep_alive,
            vllm=asked.vllm,
            llamacpp=asked.llamacpp,
        )
        engine.check_settings(run_settings(config))
        mode = _mode(asked.mode, flags)
        key = RunnerKey(engine.name, model.id, mode)
        if asked.context_size == ALL_CONTEXT:
            # All of it or nothing: whoever asks for it must hear now when it is too much.
            spec = await self._library.resolve(model.name)
            await self._planner.ways(engine.name, spec, mode, run_settings(config))
        if key in self._scheduler.busy():
            raise Conflict(
                "runner already active", hint="wait for its requests to end, then configure again"
            )
        if self._settings.put(SettingsKey(engine.name, model.id, mode), model.name, config):
            self._scheduler.unload(frozenset([key]), "its settings were changed")
        return web.Response(status=202)

    def _engine(self, named: str | None, kind: str) -> Engine:
        if named is not None:
            if named not in self._engines:
                known = ", ".join(self._engines)
                raise NotFound("backend not found", hint=f"known backends: {known}")
            return self._engines[named]
        able = (engine for engine in self._engines.values() if kind in engine.formats)
        return next(able, next(iter(self._engines.values())))


def _resident(pid: int | None) -> int:
    """Bytes of RAM an engine and its children hold now."""
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0  # it ended while we looked


def _mode(text: str, flags: list[str]) -> Mode:
    if not text:
        return Mode.EMBEDDING if "--embeddings" in flags else Mode.COMPLETION
    try:
        return Mode(text)
    except ValueError as error:
        known = ", ".join(mode.value for mode in Mode)
        raise InvalidSetting(f"invalid request: mode {text!r} is not one of {known}") from error


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidSetting(f"invalid runtime flags: {error}") from error
