"""What runs models on this machine: engines, their builds, its memory, and the plans for it."""

import asyncio
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Final, final

from stoker.base.config import Config
from stoker.base.paths import Paths
from stoker.distribution.bundled import pilot_file
from stoker.engines import LocalLauncher, reap_orphans
from stoker.engines.builds import Builds
from stoker.engines.confinement import Confinement, lack, roots_of
from stoker.engines.devices import EngineDevices
from stoker.engines.dry_run import DryRun
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_options import options_of
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.llamacpp_program import find_program
from stoker.engines.measured import BufferLog
from stoker.engines.registry import known_engines
from stoker.engines.rollback import Rollback
from stoker.engines.spec import Engine
from stoker.engines.vllm import NAME as VLLM
from stoker.engines.vllm_options import VllmOptions, ran_with
from stoker.engines.workshop import Workshop, kinds
from stoker.hardware import nvidia
from stoker.hardware.detect import Room
from stoker.hardware.host import usable_cores, usable_memory
from stoker.library.explain import Planning
from stoker.library.facts import FactsReader
from stoker.library.machine import Machine
from stoker.library.measured import MeasuredStore, Sizes
from stoker.library.measured_vllm import vllm_sizes
from stoker.library.planning import RunPlanner
from stoker.library.second_opinion import SecondOpinion
from stoker.library.settings import SettingsStore
from stoker.planner.devices import Device
from stoker.planner.options import Options
from stoker.planner.spec import ModelSpec
from stoker.scheduler import RunRequest, Scheduler

logger = logging.getLogger(__name__)

# The rest is left to the system, the daemon and everything else that runs here.
_SHARE: Final = 0.9


@final
class Runtime:
    """Wired once for each daemon. `budget`: bytes of host memory that all models may use.

    `unconfined` says what engines are not confined in; empty when nothing is missing.
    """

    def __init__(self, config: Config, paths: Paths, settings: SettingsStore) -> None:
        self._paths = paths
        self._environ = _environ(config)
        self.room = Room(paths.run)
        self.budget = config.memory_budget or int(usable_memory() * _SHARE)
        self.builds = Builds(paths.engines, gpu=config.gpu)
        gpus = config.gpu != "none"
        self.engines = known_engines(
            self._environ, builds=self.builds, threads=usable_cores(), gpus=gpus
        )
        find = partial(find_program, self._environ, self.builds)
        self.devices = EngineDevices(find, self._environ) if gpus else _no_devices
        self.machine = Machine(
            budget=self.budget,
            room=self.room,
            devices={LLAMACPP: self.devices, VLLM: partial(_cuda_devices, self.engines[VLLM])},
            changes=lambda: self.builds.changes,
        )
        confinement = _confinement(config, paths)
        self.unconfined = lack(confinement)
        if self.unconfined:
            logger.warning("engines not confined: %s", self.unconfined)
        launcher = LocalLauncher(confinement, patience=config.engine_timeout)
        self.launcher = Rollback(launcher, self.builds)
        self._facts = FactsReader()
        self._measured = MeasuredStore(paths.settings.with_name("measured.json"))
        dry_run = DryRun(LlamaCpp(self._environ, builds=self.builds), launcher, paths.run)
        self.planner = RunPlanner(
            settings,
            self._facts,
            machine=self.machine.empty,
            measured=self._taken,
            opinion=SecondOpinion(dry_run, partial(self._build, LLAMACPP)),
        )
        self._installable = kinds(pilot_file())

    async def tidy_up(self) -> None:
        """Remove what an earlier daemon left. Only the holder of the daemon's lock may do so."""
        self._paths.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(reap_orphans, self._paths.run)
        for name in self._installable:
            await asyncio.to_thread(self.builds.sweep, name)

    def workshop(self) -> Workshop:
        """Where engines are installed."""
        paths = self._paths
        return Workshop(
            self.builds, paths.engines, paths.engine_cache, self._environ, self._installable
        )

    def planning(self, scheduler: Scheduler) -> Planning:
        """Plans for people, beside what the scheduler's runners hold."""
        return Planning(
            self._facts,
            self.planner,
            lambda engine: self.machine.now(engine, scheduler.held()),
            self._taken,
            self._speed,
        )

    def loaded(self, run: RunRequest, build: str, log: BufferLog) -> None:
        """Remember what a model took with the build that ran it."""
        options: Options | VllmOptions
        if run.engine == LLAMACPP:
            options, sizes = options_of(run.model, run.mode, run.settings), log.totals
        elif run.engine == VLLM:
            options = ran_with(run.model, run.settings)
            sizes = vllm_sizes(run.model, run.settings, log)
        else:
            return
        self._measured.note(run.model.id, build, options, sizes, log)
        self.planner.forget()

    def _taken(self, model: ModelSpec, options: Options | VllmOptions) -> Sizes | None:
        engine = VLLM if isinstance(options, VllmOptions) else LLAMACPP
        return self._measured.of(model.id, self._build(engine), options)

    def _speed(self, model: ModelSpec, options: Options) -> float:
        return self._measured.speed_of(model.id, self._build(LLAMACPP), options)

    def _build(self, engine: str) -> str:
        return str(self.engines[engine].build() or "")


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
