"""`/plan`, `/recommend`, `/why`, `/doctor`: memory and decisions, for people. Ours."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
from aiohttp import web

from stoker.api import doctor
from stoker.api.query import OfModel, reads
from stoker.api.views import json_response
from stoker.base.errors import (
    ModelNotFound,
    RemoteError,
    StokerError,
    UnsupportedFormat,
)
from stoker.engines.confinement import has_loopbacks
from stoker.engines.spec import Engine
from stoker.hardware.detect import findings
from stoker.hardware.host import (
    available_memory,
    cpu_features,
    cpu_name,
    usable_cores,
    usable_memory,
)
from stoker.library import Library
from stoker.library.explain import Planning
from stoker.library.planning import RunPlanner
from stoker.library.recommend import Recommender
from stoker.library.remote import Offer, RemoteModels
from stoker.planner.devices import Device
from stoker.planner.spec import Mode, ModelSpec, RunSettings
from stoker.scheduler import Scheduler
from stoker.wire.plan import HUB_TOKEN_HEADER, Check, Happening, Plan


class PlanQuery(msgspec.Struct, rename="kebab"):
    """`context-size` in tokens, instead of what is configured."""

    model: str
    mode: Mode = Mode.COMPLETION
    context_size: int | msgspec.UnsetType = msgspec.UNSET


class PlanRoutes:
    """Questions only: nothing here changes what runs."""

    def __init__(
        self,
        *,
        library: Library,
        planner: RunPlanner,
        planning: Planning,
        scheduler: Scheduler,
        engines: Mapping[str, Engine],
        devices: Callable[[], Awaitable[tuple[Device, ...]]],
        budget: int,
        place: Path,
        remote: RemoteModels,
        unconfined: str,
    ) -> None:
        self._library = library
        self._planner = planner
        self._planning = planning
        self._recommender = Recommender(planning)
        self._scheduler = scheduler
        self._engines = engines
        self._devices = devices
        self._budget = budget
        self._place = place
        self._unconfined = unconfined
        self._remote = remote

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/plan", self.plan)
        yield web.get("/recommend", self.recommend)
        yield web.get("/why", self.why)
        yield web.get("/doctor", self.doctor)

    @reads(PlanQuery)
    async def plan(self, request: web.Request, query: PlanQuery) -> web.StreamResponse:
        """Where a model would go, with its settings or with `context-size`."""
        model = await self._here(query.model)
        if model is None:
            return json_response(await self._before_pull(request, query))
        engine = self._engine(model)
        settings = self._planner.settings(engine.name, model, query.mode)
        settings = self._checked(engine, settings, query)
        return json_response(await self._planning.plan(model, query.mode, settings))

    async def _before_pull(self, request: web.Request, query: PlanQuery) -> Plan:
        offer = await self._look(request, query.model)
        settings = self._checked(self._engine(offer.spec), RunSettings(), query)
        plan = await self._planning.plan_of(offer.spec, offer.facts, query.mode, settings)
        plan.download = offer.download
        plan.disk_free = await asyncio.to_thread(doctor.disk_free, self._place)
        return plan

    def _engine(self, model: ModelSpec) -> Engine:
        """The one that would run it. Raises UnsupportedFormat."""
        for engine in self._engines.values():
            if model.format in engine.formats:
                return engine
        raise UnsupportedFormat(f"no engine here reads {model.format} models ({model.name})")

    @staticmethod
    def _checked(engine: Engine, settings: RunSettings, query: PlanQuery) -> RunSettings:
        if query.context_size is not msgspec.UNSET:
            settings = replace(settings, context_size=query.context_size)
        engine.check_settings(settings)
        return settings

    @reads(OfModel)
    async def recommend(self, request: web.Request, query: OfModel) -> web.StreamResponse:
        """Quantizations of `model` that fit here; without one, all models that are here."""
        if query.model:
            model = await self._here(query.model)
            if model:
                return json_response(await self._recommender.choices(model))
            offer = await self._look(request, query.model)
            offered = self._recommender.offered(offer.spec, offer.facts, offer.quantizations)
            return json_response(await offered)
        models = []
        for local in self._library.models():
            try:
                models.append(await self._library.resolve(local.name))
            except StokerError:
                continue  # what cannot be laid out cannot be recommended either
        return json_response(await self._recommender.each(models))

    @reads(OfModel)
    async def why(self, request: web.Request, query: OfModel) -> web.StreamResponse:
        """What was decided about `model` of late; about all without one."""
        del request
        model = self._library.find(query.model).id if query.model else None
        entries = self._scheduler.journal.of(model)
        return json_response([Happening(e.time, e.name, e.what, e.why) for e in entries])

    async def doctor(self, request: web.Request) -> web.StreamResponse:
        """The machine and the engines, checked."""
        del request
        devices = await self._devices()
        return json_response(await asyncio.to_thread(self._examine, devices))

    def _examine(self, devices: tuple[Device, ...]) -> list[Check]:
        seen = doctor.Symptoms(
            memory=usable_memory(),
            available=available_memory(),
            budget=self._budget,
            swap_used=doctor.swap_used(),
            disk_free=doctor.disk_free(self._place),
            cores=os.cpu_count() or 1,
            usable_cores=usable_cores(),
            processor=cpu_name(),
            features=cpu_features(),
            gpus=findings(),
            builds={name: engine.build() for name, engine in self._engines.items()},
            devices=devices,
            unconfined=self._unconfined,
            loopbacks=has_loopbacks(),
        )
        return list(doctor.checks(seen))

    async def _here(self, name: str) -> ModelSpec | None:
        """The local model of that name; None when a pull would bring it."""
        look_up = self._library.resolve if "/" in name else self._library.resolve_like
        try:
            return await look_up(name)
        except ModelNotFound:
            return None

    async def _look(self, request: web.Request, name: str) -> Offer:
        token = request.headers.get(HUB_TOKEN_HEADER) or None
        try:
            return await self._remote.look(name, token=token)
        except RemoteError as error:
            error.args = (f"{name} is not on this machine, and elsewhere: {error.message}",)
            raise
