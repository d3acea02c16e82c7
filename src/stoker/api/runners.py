"""`/engines`: which engines and builds there are; installing and removing them."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from stoker.api.admission import require_own_socket
from stoker.api.errors import text_response
from stoker.api.models import read_json
from stoker.api.progress import stream_progress
from stoker.api.views import json_response
from stoker.base.errors import Conflict, NotFound, StokerError, UserError
from stoker.distribution.jobs import Job, Jobs
from stoker.engines.builds import InstalledBuild
from stoker.engines.install import State
from stoker.engines.releases import Release, parse_release
from stoker.engines.spec import Build, Engine
from stoker.engines.trash import deleted
from stoker.engines.workshop import Workshop
from stoker.scheduler import Scheduler
from stoker.wire import runners as wire
from stoker.wire.manage import Progress, ProgressLayer

Notify = Callable[[Progress], None]

_INSTALL: Final = "stoker install-runner --backend"


class RunnerRoutes:
    """The part of the `/engines` tree that is about the engines themselves."""

    def __init__(
        self,
        *,
        engines: Mapping[str, Engine],
        scheduler: Scheduler,
        workshop: Workshop,
        jobs: Jobs,
        unconfined: str,
    ) -> None:
        self._engines = engines
        self._scheduler = scheduler
        self._workshop = workshop
        self._jobs = jobs
        self._unconfined = unconfined

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/engines/status", self.status)
        yield web.get("/engines/builds", self.builds)
        yield web.post("/engines/install-backend", self.install)
        yield web.post("/engines/install-backend/cancel", self.cancel)
        yield web.post("/engines/uninstall-backend", self.uninstall)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Every known engine and whether it can run models, in Docker Model Runner's grammar."""
        del request
        return json_response({name: self._status(name) for name in sorted(self._engines)})

    async def builds(self, request: web.Request) -> web.StreamResponse:
        """All builds of all engines; first of an engine the one in use, then the newest."""
        del request
        names = dict.fromkeys((*self._engines, *self._workshop.names))
        return json_response([build for name in names for build in self._builds(name)])

    async def install(self, request: web.Request) -> web.StreamResponse:
        """Install an engine. The work belongs to the daemon: it goes on when this client leaves."""
        asked = await read_json(request, wire.InstallBackend)
        self._check(asked.backend)
        if asked.version not in ("", "latest"):
            raise UserError(
                f"{asked.backend} cannot be installed in version {asked.version}",
                hint="each version of Stoker installs the engines it was tested with",
            )
        release = _release(request, asked)
        job = self._jobs.start(f"install {asked.backend}", self._work(asked, release))
        if asked.stream:
            return await stream_progress(request, job)
        try:
            await job.ended()
        except StokerError as error:
            return text_response(error, prefix="backend installation failed: ")
        return web.Response()

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """End a running installation."""
        asked = await read_json(request, wire.Backend)
        self._check(asked.backend)
        if not self._workshop.cancel(asked.backend):
            raise Conflict(f"{asked.backend} is not being installed")
        return web.Response(status=202)

    async def uninstall(self, request: web.Request) -> web.StreamResponse:
        """Remove an engine's builds, all or for one GPU; its idle runners are stopped first."""
        asked = await read_json(request, wire.UninstallBackend)
        self._check(asked.backend)
        if self._stop_runners(asked.backend):
            raise Conflict(
                f"{asked.backend} is answering requests just now", hint="try again after them"
            )
        try:
            count = await self._workshop.uninstall(asked.backend, asked.gpu)
        except StokerError as error:
            return text_response(error, prefix="backend uninstall failed: ")
        for job in self.delete_discarded():
            if asked.wait:
                await job.ended()
        return json_response(wire.Uninstalled(count))

    def delete_discarded(self) -> list[Job]:
        """Delete what was uninstalled, now or by an earlier daemon: nobody need wait for it."""
        return [
            self._jobs.start(f"delete {path}", partial(_delete, path))
            for path in self._workshop.discarded
        ]

    def _check(self, backend: str) -> None:
        if not backend:
            raise UserError("invalid request: backend is required")
        if backend not in self._workshop.names:
            # Not the quantizer: whoever quantizes installs it by that.
            known = ", ".join(self._engines)
            raise NotFound("backend not found", hint=f"known backends: {known}")

    def _work(
        self, asked: wire.InstallBackend, release: Release | None
    ) -> Callable[[Notify], Awaitable[None]]:
        async def work(notify: Notify) -> None:
            build = await self._workshop.install(
                asked.backend,
                asked.gpu,
                lambda state: notify(_progress(state)),
                fresh=asked.fresh,
                release=release,
            )
            # What is idle starts again with the new build; what answers goes on with the old one.
            self._stop_runners(asked.backend)
            name = f"{build.manifest.version} ({build.manifest.variant})"
            notify(Progress("success", f"{asked.backend} {name} installed{self._unused(build)}"))

        return work

    def _unused(self, new: InstalledBuild) -> str:
        """Words for a build that is not the one to run now."""
        current = self._current(new.manifest.engine)
        if current is None or current.source == new.manifest.variant:
            return ""
        made = {build.manifest.variant for build in self._workshop.builds(new.manifest.engine)}
        way = f" (to change that: stoker restart-runner --gpu {new.gpu})"
        return (
            f"; {current.source} comes before it and stays in use"
            f"{way if current.source in made else ''}"
        )

    def _stop_runners(self, engine: str) -> int:
        """Stop idle runners of an engine; how many are busy."""
        running = (status.key for status in self._scheduler.status())
        mine = frozenset(key for key in running if key.engine == engine)
        self._scheduler.unload(mine, "its engine was changed")
        return sum(key.engine == engine for key in self._scheduler.busy())

    def _status(self, name: str) -> str:
        if state := self._workshop.state(name):
            percent = "" if state.percent is None else f" {state.percent} %"
            return f"Installing: {state.step}{percent}"
        build = self._engines[name].build()
        if build is None:
            return f"Not Installed: {_INSTALL} {name}"
        less = ", not confined" if self._unconfined else ""
        return f"Running: {name} {build}{less}"

    def _current(self, name: str) -> Build | None:
        """The build that would be used now; None without one, or for what is no engine."""
        return self._engines[name].build() if name in self._engines else None

    def _builds(self, name: str) -> Iterator[wire.EngineBuild]:
        current = self._current(name)
        running = (current.version, current.source) if current else None
        rows: list[wire.EngineBuild] = []
        for build in self._workshop.builds(name):
            mine = build.manifest
            same = not mine.retired and running == (mine.version, mine.variant)
            active = same and not any(row.active for row in rows)
            row = wire.EngineBuild(name, mine.version, mine.variant, active)
            row.made = _iso(mine.made)
            row.retired = mine.retired
            row.path = str(build.directory)
            row.gpu = build.gpu
            rows.append(row)
        if running and not any(row.active for row in rows):
            rows.append(wire.EngineBuild(name, *running, active=True))
        yield from sorted(rows, key=lambda row: not row.active)


def _release(request: web.Request, asked: wire.InstallBackend) -> Release | None:
    """The archive to install from; None without one. Raises Forbidden, InvalidSetting, ParseError.

    Whoever chooses it chooses a program that runs as this user.
    """
    if not asked.source:
        return None
    require_own_socket(request, "an archive to install from can be named only")
    return parse_release(asked.source, asked.digest)


async def _delete(path: Path, notify: Notify) -> None:
    del notify
    await deleted(path)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _progress(state: State) -> Progress:
    """A step as a line that Docker's clients can read too: percent as if they were bytes."""
    if state.percent is None:
        return Progress("progress", state.step)
    layer = ProgressLayer(size=100, current=state.percent, id=state.step)
    return Progress("progress", f"{state.step}: {state.percent} %", total=100, layer=layer)
