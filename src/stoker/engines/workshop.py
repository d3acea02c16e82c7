"""Installs and removes engines: looks at the machine, chooses the recipe, has it carried out."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, final

from stoker.base.errors import Conflict, InvalidSetting, NotFound, StorageError
from stoker.engines.builds import Builds, InstalledBuild
from stoker.engines.install import Installer, Notify, SelfTest, State
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_program import NAME as LLAMACPP
from stoker.engines.llamacpp_program import Program
from stoker.engines.llamacpp_recipe import llamacpp_recipe
from stoker.engines.machine import Machine, look
from stoker.engines.quantizer_recipe import NAME as QUANTIZER
from stoker.engines.quantizer_recipe import PROGRAM, quantizer_recipe
from stoker.engines.recipe import Places, Recipe, check_room
from stoker.engines.releases import LLAMA_SERVER, Release, fetch, release_recipe, settled
from stoker.engines.sample_model import write_sample
from stoker.engines.selftest import answers, quantizes
from stoker.engines.trash import discard, discarded
from stoker.engines.vllm import Vllm
from stoker.engines.vllm_recipe import vllm_recipe
from stoker.net.options import net_options_of
from stoker.oci.digest import Digest
from stoker.planner.spec import Format, ModelSpec, RunSettings

MakeRecipe = Callable[[str, Machine, Places, Mapping[str, str]], Recipe]


@dataclass(frozen=True, slots=True)
class Kind:
    """How an engine is installed."""

    recipe: MakeRecipe
    test: SelfTest


def kinds(sample: Path) -> Mapping[str, Kind]:
    """What can be installed, by name. `sample`: a GGUF that llama.cpp must load."""

    async def llamacpp_answers(build: Path) -> str:
        server = build / LLAMA_SERVER
        program = Program("self-test", server if server.exists() else None, build / "bin/python")
        engine = LlamaCpp(program=program)
        return await answers(engine, _spec(Format.GGUF, sample))

    async def vllm_answers(build: Path) -> str:
        with tempfile.TemporaryDirectory(prefix="st-") as folder:
            model = _spec(Format.SAFETENSORS, write_sample(Path(folder) / "sample"))
            settings = RunSettings(runtime_flags=("--enforce-eager",), context_size=256)
            return await answers(Vllm(python=build / "bin" / "python"), model, settings)

    async def quantizer_works(build: Path) -> str:
        return await quantizes(build / "bin" / PROGRAM, sample)

    return MappingProxyType(
        {
            "llama.cpp": Kind(llamacpp_recipe, llamacpp_answers),
            "vllm": Kind(vllm_recipe, vllm_answers),
            QUANTIZER: Kind(quantizer_recipe, quantizer_works),
        }
    )


def _spec(kind: Format, weights: Path) -> ModelSpec:
    """A small model to test new builds with."""
    return ModelSpec(
        id=Digest("sha256:" + "0" * 64),
        name="self-test",
        format=kind,
        weights=weights,
        weights_size=weights.stat().st_size,
    )


@final
class Workshop:
    """Installations of this machine; at most one of each engine at a time, see `api/runners`."""

    def __init__(
        self, builds: Builds, place: Path, cache: Path, environ: Mapping[str, str],
        known: Mapping[str, Kind],
    ) -> None:  # fmt: skip
        self._builds = builds
        self._place = place
        self._cache = cache
        self._environ = environ
        self._kinds = known
        self._states: dict[str, State] = {}
        self._scopes: dict[str, asyncio.Timeout] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What can be installed: engines, and a quantizer."""
        return tuple(self._kinds)

    def state(self, engine: str) -> State | None:
        """How far a running installation is."""
        return self._states.get(engine)

    async def install(
        self,
        engine: str,
        gpu: str,
        notify: Notify,
        *,
        fresh: bool = False,
        release: Release | None = None,
    ) -> InstalledBuild:
        """Install an engine, or a release of it. Raises what the recipe refuses with, EngineError.

        Raises StorageError, Conflict when it is cancelled by `cancel`, and for a release what
        `fetch` raises.
        """
        kind = self._kinds.get(engine)
        if kind is None:
            known = ", ".join(self._kinds)
            raise InvalidSetting(f"{engine} cannot be installed", hint=f"these can: {known}")
        if release and engine != LLAMACPP:
            raise InvalidSetting(f"{engine} is not installed from an archive, only {LLAMACPP} is")

        def heard(state: State) -> None:
            self._states[engine] = state
            notify(state)

        scope = self._scopes[engine] = asyncio.timeout(None)
        try:
            async with scope:
                if release:
                    return await self._install_release(release, gpu, kind, heard)
                return await self._install(engine, gpu, kind, heard, fresh=fresh)
        except TimeoutError:
            if not scope.expired():
                raise
            raise Conflict(
                f"the installation of {engine} was cancelled",
                hint="a further one goes on where it stopped",
            ) from None
        finally:
            self._scopes.pop(engine, None)
            self._states.pop(engine, None)

    def cancel(self, engine: str) -> bool:
        """End a running installation; False when there is none."""
        scope = self._scopes.get(engine)
        if scope is not None:
            scope.reschedule(asyncio.get_running_loop().time())
        return scope is not None

    def builds(self, engine: str) -> tuple[InstalledBuild, ...]:
        """All of an engine, newest first."""
        return self._builds.all(engine)

    async def uninstall(self, engine: str, gpu: str = "") -> int:
        """Discard the builds of an engine and what is kept to make them; how many there were.

        With `gpu` only those for that kind; what is kept stays then. Only while none of them runs.
        What was discarded is to be deleted, see `discarded`.
        Raises StorageError, Conflict during an installation, NotFound without such a build.
        """
        if engine in self._scopes:
            raise Conflict(
                f"{engine} is being installed",
                hint="wait, or end that with Ctrl-C where it was begun",
            )
        found = self.builds(engine)
        if gpu and all(build.gpu != gpu for build in found):
            variants = sorted({build.manifest.variant for build in found})
            raise NotFound(
                f"{engine} has no build for --gpu {gpu}",
                hint=f"installed: {', '.join(variants) or 'none'}",
            )
        count = await asyncio.to_thread(partial(self._builds.remove, engine, gpu=gpu))
        if not gpu:
            await asyncio.to_thread(discard, self._cache, self._cache / engine)
        return count

    @property
    def discarded(self) -> tuple[Path, ...]:
        """What is on its way out, now or since an earlier daemon, see `trash`."""
        return (*discarded(self._builds.root), *discarded(self._cache))

    async def _install(
        self, engine: str, gpu: str, kind: Kind, notify: Notify, *, fresh: bool
    ) -> InstalledBuild:
        machine, places = await self._prepare(engine)
        if gpu == "auto" and self._builds.gpu == "none":
            gpu = "none"  # what would be chosen of itself would never be used
        recipe = kind.recipe(gpu, machine, places, self._environ)
        check_room(recipe, machine)
        installer = Installer(self._builds, self._environ)
        return await installer.install(recipe, places.staging, kind.test, notify, fresh=fresh)

    async def _install_release(
        self, release: Release, gpu: str, kind: Kind, notify: Notify
    ) -> InstalledBuild:
        machine, places = await self._prepare(LLAMACPP)
        recipe = release_recipe(release, gpu, places)
        check_room(recipe, machine)
        options = net_options_of(self._environ)
        await fetch(release, places.cache, options, lambda done: notify(State("downloading", done)))
        installer = Installer(self._builds, self._environ)
        return await installer.install(recipe, places.staging, kind.test, notify, settle=settled)

    async def _prepare(self, engine: str) -> tuple[Machine, Places]:
        cache = self._cache / engine
        try:
            machine = await asyncio.to_thread(look, self._place, self._environ)
            await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {cache}: {error.strerror}") from error
        # The variant is the recipe's to choose; a directory of its own is enough for staging.
        staging = await asyncio.to_thread(self._builds.staging, engine, "new")
        return machine, Places(staging, cache, _PYTHON)


_PYTHON: Final = sys.executable
