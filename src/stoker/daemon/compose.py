"""The only place where objects are wired. One exit stack; everything closes in reverse order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from stoker.access import KeyFile, KeyRing
from stoker.api import (
    AnthropicRoutes,
    EngineRoutes,
    InferenceRoutes,
    LogRoutes,
    ModelRoutes,
    OllamaModelRoutes,
    OllamaRoutes,
    TransferRoutes,
    build_app,
)
from stoker.api.admission import Admission
from stoker.api.audit import Audit
from stoker.api.config import ConfigRoutes
from stoker.api.consent import ConsentRoutes
from stoker.api.effective import EffectiveRoutes
from stoker.api.health import HealthRoutes
from stoker.api.metrics import MetricsRoutes, count_effect, count_request
from stoker.api.openapi import DocsRoutes
from stoker.api.origins import Policy, is_loopback
from stoker.api.plan import PlanRoutes
from stoker.api.requests import RequestRoutes
from stoker.api.responses import ResponsesRoutes, ResponseStore
from stoker.api.runners import RunnerRoutes
from stoker.api.score import ScoreRoutes
from stoker.api.search import SearchRoutes
from stoker.base.config import Config
from stoker.base.paths import Paths
from stoker.daemon.runtime import Runtime
from stoker.distribution import Puller
from stoker.distribution.bundled import bundled_file
from stoker.distribution.fetch import Fetcher
from stoker.distribution.jobs import Jobs
from stoker.distribution.push import Pusher
from stoker.distribution.search import Searcher
from stoker.gateway import Gateway, Limits
from stoker.gateway.tenants import Tenants
from stoker.gateway.upstream import Upstreams
from stoker.hub import HubClient
from stoker.library import Library
from stoker.library.consents import Consents
from stoker.library.remote import RemoteModels
from stoker.library.settings import SettingsStore
from stoker.observe.audit import AuditLog
from stoker.observe.logs import (
    SERVICE_LOG,
    EngineLog,
    engine_log_file,
    flush_service_log,
)
from stoker.observe.metrics import Metrics
from stoker.planner.room import DEVICE_MARGIN
from stoker.registry.client import RegistryClient
from stoker.scheduler import Scheduler
from stoker.scheduler.core import Core
from stoker.store import Store


@dataclass(frozen=True, slots=True)
class Daemon:
    """What `main` needs of the wired program."""

    app: web.Application
    scheduler: Scheduler


@asynccontextmanager
async def compose(config: Config, paths: Paths) -> AsyncIterator[Daemon]:
    """Build the program; leaving the block stops every engine and transfer."""
    store = Store.open(paths.models)
    consents = Consents(paths.consents)
    library = Library(store, default_registry=config.default_registry, consents=consents)
    settings = SettingsStore(paths.settings)
    engine_log = EngineLog(paths.logs, config.log_format)

    def settle() -> None:
        flush_service_log()
        engine_log.flush()

    metrics = Metrics()
    recorder = RequestRoutes(library, enabled=config.record_requests)
    runtime = Runtime(config, paths, settings)
    engines, planner = runtime.engines, runtime.planner
    await runtime.tidy_up()
    try:
        async with (
            Upstreams() as upstreams,
            Scheduler(
                core=Core(memory_budget=runtime.budget, gpu_overhead=DEVICE_MARGIN),
                room=runtime.room,
                devices=runtime.machine.listing,
                loaded=runtime.loaded,
                engines=engines,
                launcher=runtime.launcher,
                run_dir=paths.run,
                engine_log=engine_log,
                watch=partial(count_effect, metrics),
            ) as scheduler,
            RegistryClient() as registries,
            HubClient() as hub,
            Jobs() as jobs,
        ):
            # What is loaded keeps a cache for everybody; what answers just now keeps it till later.
            ring = KeyRing(
                KeyFile(paths.keys),
                default_registry=config.default_registry,
                first_tenant=lambda: _unload_idle(scheduler),
            )
            gateway = Gateway(
                resolver=library,
                planner=planner,
                scheduler=scheduler,
                engines=engines,
                upstreams=upstreams,
                tenants=Tenants(ring.has_tenants),
                observers=(partial(count_request, metrics), recorder.note),
                record=config.record_requests,
            )
            puller = Puller(
                store,
                jobs,
                Fetcher(store, registries, hub),
                default_registry=config.default_registry,
            )
            remote = RemoteModels(
                store,
                registries,
                hub,
                bundled=bundled_file,
                default_registry=config.default_registry,
            )
            admission = Admission(
                ring, required=config.require_keys, loopback=is_loopback(config.host)
            )
            runners = RunnerRoutes(
                engines=engines,
                scheduler=scheduler,
                unconfined=runtime.unconfined,
                workshop=runtime.workshop(),
                jobs=jobs,
            )
            runners.delete_discarded()
            app = build_app(
                Policy.of(config.allowed_origins, config.allowed_hosts, listen=config.host),
                admission,
                Audit(AuditLog(paths.audit)),
                Limits(config.max_body, config.body_timeout, config.body_rate, config.max_bodies),
                TransferRoutes(store, library),
                ConsentRoutes(consents, library, store, scheduler),
                ModelRoutes(library, puller, Pusher(store, jobs, registries), remote),
                SearchRoutes(Searcher(registries, hub, default_registry=config.default_registry)),
                EngineRoutes(
                    scheduler=scheduler,
                    library=library,
                    settings=settings,
                    engines=engines,
                    store=store,
                    planner=planner,
                ),
                InferenceRoutes(gateway, library),
                AnthropicRoutes(gateway),
                ScoreRoutes(gateway),
                ResponsesRoutes(gateway, ResponseStore()),
                OllamaRoutes(gateway, library, scheduler),
                OllamaModelRoutes(library, puller, scheduler),
                runners,
                PlanRoutes(
                    library=library,
                    planner=planner,
                    planning=runtime.planning(scheduler),
                    scheduler=scheduler,
                    engines=engines,
                    devices=runtime.devices,
                    budget=runtime.budget,
                    place=paths.models,
                    unconfined=runtime.unconfined,
                    remote=remote,
                ),
                HealthRoutes(library, scheduler, upstreams, gateway.load),
                MetricsRoutes(metrics, scheduler, upstreams),
                recorder,
                ConfigRoutes(config),
                EffectiveRoutes(
                    library=library,
                    planner=planner,
                    scheduler=scheduler,
                    engines=engines,
                    upstreams=upstreams,
                ),
                DocsRoutes(),
                LogRoutes(
                    paths.logs / SERVICE_LOG,
                    {name: engine_log_file(paths.logs, name) for name in engines},
                    paths.audit,
                    settle,
                ),
            )
            yield Daemon(app, scheduler)
    finally:
        engine_log.close()


def _unload_idle(scheduler: Scheduler) -> None:
    scheduler.unload(frozenset(status.key for status in scheduler.status()))
