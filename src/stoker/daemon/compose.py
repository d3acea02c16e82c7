"""The only place where objects are wired. One exit stack; everything closes in reverse order."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

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
from stoker.api.effective import EffectiveRoutes
from stoker.api.health import HealthRoutes
from stoker.api.metrics import EffectCounter, MetricsRoutes, count_request
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
from stoker.distribution import Puller
from stoker.distribution.bundled import bundled_file, pilot_file
from stoker.distribution.fetch import Fetcher
from stoker.distribution.jobs import Jobs
from stoker.distribution.push import Pusher
from stoker.distribution.search import Searcher
from stoker.engines import LocalLauncher, reap_orphans
from stoker.engines.builds import Builds
from stoker.engines.confinement import Confinement, lack, roots_of
from stoker.engines.devices import EngineDevices
from stoker.engines.dry_run import DryRun
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.llamacpp_program import find_program
from stoker.engines.measured import BufferLog
from stoker.engines.registry import known_engines
from stoker.engines.rollback import Rollback
from stoker.engines.spec import Engine
from stoker.engines.vllm import NAME as VLLM
from stoker.engines.workshop import Workshop, kinds
from stoker.gateway import Gateway, Limits
from stoker.gateway.tenants import Tenants
from stoker.gateway.upstream import Upstreams
from stoker.hardware import nvidia
from stoker.hardware.detect import Room
from stoker.hardware.host import usable_cores, usable_memory
from stoker.hub import HubClient
from stoker.library import Library
from stoker.library.explain import Planning
from stoker.library.facts import FactsReader
from stoker.library.machine import Machine
from stoker.library.measured import MeasuredStore, Sizes
from stoker.library.planning import RunPlanner
from stoker.library.remote import RemoteModels
from stoker.library.second_opinion import SecondOpinion
from stoker.library.settings import SettingsStore
from stoker.observe.audit import AuditLog
from stoker.observe.logs import (
    SERVICE_LOG,
    EngineLog,
    engine_log_file,
    flush_service_log,
)
from stoker.observe.metrics import Metrics
from stoker.planner.dealing import DEVICE_MARGIN
from stoker.planner.devices import Device
from stoker.planner.options import Options
from stoker.planner.spec import ModelSpec
from stoker.registry.client import RegistryClient
from stoker.scheduler import RunRequest, Scheduler
from stoker.scheduler.core import Core
from stoker.store import Store

logger = logging.getLogger(__name__)

# The rest is left to the system, the daemon and everything else that runs here.
_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Daemon:
    """What `main` needs of the wired program."""

    app: web.Application
    scheduler: Scheduler


@asynccontextmanager
async def compose(config: Config, paths: Paths) -> AsyncIterator[Daemon]:
    """Build the program; leaving the block stops every engine and transfer."""
    store = Store.open(paths.models)
    library = Library(store, default_registry=config.default_registry)
    settings = SettingsStore(paths.settings)
    engine_log = EngineLog(paths.logs, config.log_format)

    def settle() -> None:
        flush_service_log()
        engine_log.flush()

    metrics = Metrics()
    recorder = RequestRoutes(library, enabled=config.record_requests)
    environ = _environ(config)
    room = Room(paths.run)
    budget = config.memory_budget or int(usable_memory() * _SHARE)
    builds = Builds(paths.engines, gpu=config.gpu)
    gpus = config.gpu != "none"
    engines = known_engines(environ, builds=builds, threads=usable_cores(), gpus=gpus)
    devices = (
        EngineDevices(partial(find_program, environ, builds), environ) if gpus else _no_devices
    )
    machine = Machine(
        budget=budget,
        room=room,
        devices={LLAMACPP: devices, VLLM: partial(_cuda_devices, engines[VLLM])},
        changes=lambda: builds.changes,
    )
    confinement = _confinement(config, paths)
    unconfined = lack(confinement)
    if unconfined:
        logger.warning("engines not confined: %s", unconfined)
    facts = FactsReader()
    measured = MeasuredStore(paths.settings.with_name("measured.json"))

    def build_of(engine: str) -> str:
        build = engines[engine].build()
        return f"{build.version} {build.source}" if build else ""

    def taken(model: ModelSpec, options: Options) -> Sizes | None:
        return measured.of(model.id, build_of(LLAMACPP), options)

    def speed(model: ModelSpec, options: Options) -> float:
        return measured.speed_of(model.id, build_of(LLAMACPP), options)

    def loaded(run: RunRequest, log: BufferLog) -> None:
        if run.engine == LLAMACPP:
            measured.note(run.model, run.mode, run.settings, build_of(run.engine), log)
            planner.forget_costs()

    launcher = LocalLauncher(confinement)
    dry_run = DryRun(LlamaCpp(environ, builds=builds), launcher, paths.run)
    planner = RunPlanner(
        settings,
        facts,
        machine=machine.empty,
        measured=taken,
        opinion=SecondOpinion(dry_run),
    )
    paths.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Only the holder of the daemon lock gets here: engines of this directory have lost their owner.
    await asyncio.to_thread(reap_orphans, paths.run)
    installable = kinds(pilot_file())
    for name in installable:
        await asyncio.to_thread(builds.sweep, name)
    try:
        async with (
            Upstreams() as upstreams,
            Scheduler(
                core=Core(memory_budget=budget, gpu_overhead=DEVICE_MARGIN),
                room=room,
                devices=machine.listing,
                loaded=loaded,
                engines=engines,
                launcher=Rollback(launcher, builds),
                run_dir=paths.run,
                engine_log=engine_log,
                watch=EffectCounter(metrics),
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
            admission = Admission(
                ring, required=config.require_keys, loopback=is_loopback(config.host)
            )
            app = build_app(
                Policy.of(config.allowed_origins, config.allowed_hosts, listen=config.host),
                admission,
                Audit(AuditLog(paths.audit)),
                Limits(config.max_body, config.body_timeout, config.body_rate, config.max_bodies),
                TransferRoutes(store, library),
                ModelRoutes(library, puller, Pusher(store, jobs, registries)),
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
                RunnerRoutes(
                    engines=engines,
                    scheduler=scheduler,
                    unconfined=unconfined,
                    workshop=Workshop(
                        builds, paths.engines, paths.cache / "engines", environ, installable
                    ),
                    jobs=jobs,
                ),
                PlanRoutes(
                    library=library,
                    planner=planner,
                    planning=Planning(
                        facts, lambda engine: machine.now(engine, scheduler.held()), taken, speed
                    ),
                    scheduler=scheduler,
                    engines=engines,
                    devices=devices,
                    budget=budget,
                    place=paths.models,
                    unconfined=unconfined,
                    remote=RemoteModels(
                        store,
                        registries,
                        hub,
                        bundled=bundled_file,
                        default_registry=config.default_registry,
                    ),
                ),
                HealthRoutes(library, scheduler, upstreams),
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


async def _no_devices() -> tuple[Device, ...]:
    return ()


def _confinement(config: Config, paths: Paths) -> Confinement | None:
    if not config.confine_engines:
        return None
    own = roots_of(Path(sys.executable))
    return Confinement(paths.cache / "homes", programs=(*own, paths.engines))


async def _cuda_devices(vllm: Engine) -> tuple[Device, ...]:
    """What vLLM can use, if its build is one for GPUs."""
    build = vllm.build()
    if build is None or build.source == "cpu":
        return ()
    return (await asyncio.to_thread(nvidia.find)).devices


def _environ(config: Config) -> dict[str, str]:
    """What engines look for programs in."""
    environ = dict(os.environ)
    if config.llama_server:
        environ["LLAMA_SERVER_PATH"] = config.llama_server
    return environ


def _unload_idle(scheduler: Scheduler) -> None:
    scheduler.unload(frozenset(status.key for status in scheduler.status()))
