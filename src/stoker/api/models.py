"""`/models`: list, inspect, pull, tag, remove. Texts and status codes are Docker Model Runner's."""

import asyncio
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from aiohttp import web

from stoker.api.admission import require_manager
from stoker.api.audit import ASKED
from stoker.api.errors import text_response
from stoker.api.progress import stream_progress
from stoker.api.query import reads
from stoker.api.scope import Scope, open_to
from stoker.api.views import find_usable, json_response, native, removals, visible
from stoker.base.errors import ModelNotFound, StokerError, UserError
from stoker.distribution import Puller
from stoker.distribution.push import Pusher
from stoker.gateway import read_body
from stoker.library import Library
from stoker.library.remote import RemoteModels
from stoker.oci.reference import parse_reference
from stoker.wire import manage
from stoker.wire.plan import HUB_TOKEN_HEADER

_T = TypeVar("_T")

# Management bodies are names and a few settings.
_MAX_BODY = 1024 * 1024


class InspectQuery(msgspec.Struct):
    """`remote`: as its registry has it."""

    remote: bool = False


class TagQuery(msgspec.Struct):
    """The new name, in two parts."""

    repo: str
    tag: str


class RemoveQuery(msgspec.Struct):
    """`force`: though the model has other names."""

    force: bool = False


class ModelRoutes:
    """The `/models` tree."""

    def __init__(
        self, library: Library, puller: Puller, pusher: Pusher, remote: RemoteModels
    ) -> None:
        self._library = library
        self._remote = remote
        self._puller = puller
        self._pusher = pusher

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table. Fixed names come before `{name}`, which may hold slashes."""
        yield web.get("/models", self.list)
        yield web.get("/models/", self.list)
        yield web.post("/models/create", self.create)
        yield web.post("/models/{name:.+}/tag", self.tag)
        yield web.post("/models/{name:.+}/push", self.push)
        yield web.get("/models/{name:.+}", self.inspect)
        yield web.delete("/models/{name:.+}", self.remove)

    @open_to(Scope.MODELS)
    async def list(self, request: web.Request) -> web.StreamResponse:
        shown = visible(request, self._library.models())
        return json_response([native(model) for model in shown])

    @open_to(Scope.MODELS)
    @reads(InspectQuery)
    async def inspect(self, request: web.Request, query: InspectQuery) -> web.StreamResponse:
        """One model of the store; with `?remote=true` that of its registry, without pulling it."""
        name = request.match_info["name"]
        if query.remote:
            require_manager(request)
            return await self._inspect_remote(request, name)
        return json_response(native(find_usable(request, self._library, name)))

    async def _inspect_remote(self, request: web.Request, name: str) -> web.StreamResponse:
        token = request.headers.get(HUB_TOKEN_HEADER) or None
        try:
            return json_response(native(await self._remote.inspect(name, token=token)))
        except StokerError as error:
            return text_response(error, prefix="error while getting remote model: ")

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Pull. The transfer belongs to the daemon: it goes on when this client leaves."""
        asked = await read_json(request, manage.CreateModel)
        transfer = self._puller.pull(asked.source, bearer=asked.bearer_token or None)
        return await stream_progress(request, transfer)

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Push a local model to where its name says."""
        asked = await read_json(request, manage.PushModel)
        name = request.match_info["name"]
        target = parse_reference(name).tagged
        try:
            model = self._library.named(name).descriptor
        except ModelNotFound as error:
            error.hint = f"give a model that is here this name first: stoker tag MODEL {name}"
            raise
        bearer = asked.bearer_token or None
        return await stream_progress(request, self._pusher.push(model, target, bearer=bearer))

    @reads(TagQuery)
    async def tag(self, request: web.Request, query: TagQuery) -> web.StreamResponse:
        target = f"{query.repo}:{query.tag}"
        parse_reference(target)
        await asyncio.to_thread(self._library.tag, request.match_info["name"], target)
        message = f'Model tagged successfully with "{target}"'
        return json_response(manage.Tagged(message, target), status=201)

    @reads(RemoveQuery)
    async def remove(self, request: web.Request, query: RemoveQuery) -> web.StreamResponse:
        name = request.match_info["name"]
        try:
            done = await asyncio.to_thread(self._library.remove, name, force=query.force)
        except StokerError as error:
            return text_response(error, prefix="error while deleting model: ")
        return json_response(removals(done))


async def read_json(request: web.Request, kind: type[_T]) -> _T:
    """The body as a message. Raises UserError with Docker Model Runner's text, PayloadTooLarge."""
    body = await read_body(request, _MAX_BODY)
    try:
        asked = msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError("invalid request body", hint=str(error)) from error
    request[ASKED] = asked
    return asked
