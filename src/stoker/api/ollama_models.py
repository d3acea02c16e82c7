"""Ollama's routes about models: version, tags, show, ps, pull, delete, copy."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, Final

import msgspec
from aiohttp import web

from stoker.api.audit import FAILED
from stoker.api.models import read_json
from stoker.api.scope import Scope, open_to
from stoker.api.views import find_usable, visible
from stoker.base.errors import StokerError, UserError
from stoker.distribution import Puller
from stoker.gateway.answer import error_text
from stoker.library import Library, LocalModel
from stoker.library.files import Role, files_of
from stoker.oci.defaults import display_name
from stoker.oci.reference import ModelId, parse_name
from stoker.planner.spec import FOREVER
from stoker.scheduler import RunnerStatus, Scheduler
from stoker.wire import ollama_models as wire
from stoker.wire.manage import Progress
from stoker.wire.ollama_answer import rfc3339

_SPOKEN: Final = "0.12.6"
"""The version of Ollama whose dialect this is; some clients refuse older ones."""

_NEVER: Final = "0001-01-01T00:00:00Z"
_EMBEDDERS: Final = ("bert", "embedding")


class OllamaModelRoutes:
    """The part of `/api` that does not run models."""

    def __init__(self, library: Library, puller: Puller, scheduler: Scheduler) -> None:
        self._library = library
        self._puller = puller
        self._scheduler = scheduler

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/api/version", self.version)
        yield web.get("/api/tags", self.tags)
        yield web.get("/api/ps", self.ps)
        yield web.post("/api/show", self.show)
        yield web.post("/api/pull", self.pull)
        yield web.delete("/api/delete", self.delete)
        yield web.post("/api/copy", self.copy)

    @open_to(Scope.MODELS)
    async def version(self, request: web.Request) -> web.StreamResponse:
        del request
        return _json({"version": _SPOKEN})

    @open_to(Scope.MODELS)
    async def tags(self, request: web.Request) -> web.StreamResponse:
        """One entry for each name; by its id a model that has none."""
        models = [
            wire.Model(
                shown, shown, rfc3339(model.config.created_at), model.manifest.size,
                model.id.removeprefix("sha256:"), _details(model),
            )
            for model in visible(request, self._library.models())
            for shown in [_shown(name) for name in model.names] or [model.id]
        ]  # fmt: skip
        return _json({"models": models})

    async def ps(self, request: web.Request) -> web.StreamResponse:
        del request
        here = {model.id: model for model in self._library.models()}
        now = time.time()
        running = [
            _running(status, here.get(status.key.model), now) for status in self._scheduler.status()
        ]
        return _json({"models": running})

    @open_to(Scope.MODELS)
    async def show(self, request: web.Request) -> web.StreamResponse:
        model = find_usable(request, self._library, await _name(request))
        config = model.config
        architecture = config.architecture or "unknown"
        info: dict[str, Any] = {"general.architecture": architecture, **config.gguf}
        if config.context_size:
            info[f"{architecture}.context_length"] = config.context_size
        roles = {file.role for file in files_of(model.manifest)}
        embeds = any(word in architecture for word in _EMBEDDERS)
        can = ["embedding"] if embeds else ["completion", "tools"]
        if Role.MMPROJ in roles:
            can.append("vision")
        return _json(
            wire.Shown(_details(model), info, can, rfc3339(config.created_at)),
        )

    async def pull(self, request: web.Request) -> web.StreamResponse:
        """Follow a pull to its end; `stream: false` waits for it."""
        asked = await read_json(request, wire.Pull)
        name = _wanted(asked.name or asked.model)
        job = self._puller.pull(name)
        if asked.stream is False:
            await job.ended()
            return _json(wire.PullStatus("success"))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            async with aclosing(job.follow()) as progress:
                async for line in progress:
                    await response.write(msgspec.json.encode(_status(line)) + b"\n")
        except StokerError as error:
            request[FAILED] = error
            failed = {"error": f"pull model manifest: {error_text(error)}"}
            await response.write(msgspec.json.encode(failed) + b"\n")
        await response.write_eof()
        return response

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Unload it where idle, and remove the name."""
        name = await _name(request)
        model = self._library.named(name)
        running = self._scheduler.status()
        mine = frozenset(one.key for one in running if one.key.model == model.id)
        self._scheduler.unload(mine, "it was removed")
        await asyncio.to_thread(self._library.remove, name)
        return web.Response()

    async def copy(self, request: web.Request) -> web.StreamResponse:
        asked = await read_json(request, wire.Copy)
        source, target = _wanted(asked.source), _wanted(asked.destination)
        await asyncio.to_thread(self._library.tag, source, target)
        return web.Response()


async def _name(request: web.Request) -> str:
    asked = await read_json(request, wire.Named)
    return _wanted(asked.name or asked.model)


def _wanted(name: str) -> str:
    if not name:
        raise UserError("model is required")
    return name


def _running(status: RunnerStatus, model: LocalModel | None, now: float) -> wire.Running:
    name, on_devices = _asked(status.name), sum(status.devices.values())
    return wire.Running(
        name,
        name,
        status.memory + on_devices,
        status.key.model.removeprefix("sha256:"),
        _details(model) if model else wire.Details(),
        _expiry(status, now),
        size_vram=on_devices,
    )


def _asked(name: str) -> str:
    """What somebody called a model, as `tags` lists it; an id stays an id."""
    parsed = parse_name(name)
    return name if isinstance(parsed, ModelId) else _shown(str(parsed))


def _shown(canonical: str) -> str:
    """The short name with its tag, as Ollama's own names have one."""
    short = display_name(canonical)
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


def _details(model: LocalModel) -> wire.Details:
    config = model.config
    return wire.Details(
        format=config.format,
        family=config.architecture,
        families=[config.architecture] if config.architecture else [],
        parameter_size=config.parameters,
        quantization_level=config.quantization,
    )


def _expiry(status: RunnerStatus, now: float) -> str:
    if status.idle_for is None or status.keep_alive == FOREVER:
        return _NEVER
    return rfc3339(now + status.keep_alive - status.idle_for)


def _status(line: Progress) -> wire.PullStatus:
    """A line of ours in Ollama's words."""
    if line.type == "success":
        return wire.PullStatus("success")
    layer = line.layer
    if isinstance(layer.id, str):
        short = layer.id.removeprefix("sha256:")[:12]
        return wire.PullStatus(f"pulling {short}", layer.id, layer.size, layer.current)
    return wire.PullStatus("pulling manifest")


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
