"""Ollama's routes for answers: chat, generate, embed. No engine speaks them: we translate."""

import time
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from aiohttp import web

from stoker.api.scope import Scope, open_to
from stoker.api.views import find_usable
from stoker.base.errors import StokerError, UserError
from stoker.gateway import Call, Gateway, Operation, read_body
from stoker.gateway.answer import error_text
from stoker.gateway.blame import engine_text
from stoker.gateway.bounds import check_bounds
from stoker.gateway.nesting import check_nesting
from stoker.library import Library
from stoker.observe.request_id import request_id
from stoker.scheduler import Scheduler
from stoker.wire import ollama
from stoker.wire.ollama_answer import (
    Kind,
    OllamaAnswer,
    embed_answer,
    embeddings_answer,
    fault,
    rfc3339,
)

_R = TypeVar("_R", bound=ollama.Request)


class OllamaRoutes:
    """`/api/chat`, `/api/generate`, `/api/embed`, `/api/embeddings`."""

    def __init__(self, gateway: Gateway, library: Library, scheduler: Scheduler) -> None:
        self._gateway = gateway
        self._library = library
        self._scheduler = scheduler

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.post("/api/chat", self.chat)
        yield web.post("/api/generate", self.generate)
        yield web.post("/api/embed", self.embed)
        yield web.post("/api/embeddings", self.embeddings)

    @open_to(Scope.MODELS)
    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = await self._read(request, ollama.Chat)
        if not asked.messages:
            return await self._load_or_unload(request, asked, Kind.CHAT)
        return await self._chat(request, asked, Kind.CHAT)

    @open_to(Scope.MODELS)
    async def generate(self, request: web.Request) -> web.StreamResponse:
        asked = await self._read(request, ollama.Generate)
        if not asked.prompt and not asked.images:
            return await self._load_or_unload(request, asked, Kind.GENERATE)
        if asked.suffix:
            raise UserError(f"{asked.wanted} does not support insert", hint="leave out suffix")
        if asked.raw:
            stream = asked.stream is not False
            body = ollama.prompt_body(asked, stream=stream)
            call = _call(asked, Operation.COMPLETIONS, body, stream=stream)
            return await self._gateway.serve(request, call, Translated(Kind.GENERATE, asked.wanted))
        chat = ollama.chat_of(asked)
        chat.stream, chat.keep_alive = asked.stream, asked.keep_alive
        return await self._chat(request, chat, Kind.GENERATE)

    @open_to(Scope.MODELS)
    async def embed(self, request: web.Request) -> web.StreamResponse:
        asked = await self._read(request, ollama.Embed)
        call = _call(asked, Operation.EMBEDDINGS, ollama.embed_body(asked), stream=False)
        return await self._gateway.serve(request, call, TranslatedVectors(asked.wanted))

    @open_to(Scope.MODELS)
    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        asked = await self._read(request, ollama.Embed)
        call = _call(asked, Operation.EMBEDDINGS, ollama.embed_body(asked), stream=False)
        return await self._gateway.serve(request, call, TranslatedVectors(asked.wanted, old=True))

    async def _chat(
        self, request: web.Request, asked: ollama.Chat, kind: Kind
    ) -> web.StreamResponse:
        stream = asked.stream is not False
        body = ollama.chat_body(asked, stream=stream)
        call = _call(asked, Operation.CHAT, body, stream=stream)
        return await self._gateway.serve(request, call, Translated(kind, asked.wanted))

    async def _load_or_unload(
        self, request: web.Request, asked: ollama.Request, kind: Kind
    ) -> web.StreamResponse:
        """A request without a question loads the model, or unloads it when `keep_alive` is 0."""
        reason = "load"
        if ollama.keep_alive_of(asked) == 0:
            wanted = find_usable(request, self._library, asked.wanted).id
            running = self._scheduler.status()
            keys = frozenset(status.key for status in running if status.key.model == wanted)
            self._scheduler.unload(keys)
            reason = "unload"
        else:
            call = _call(asked, Operation.CHAT, {}, stream=False, preload=True)
            await self._gateway.serve(request, call)
        empty = {"message": {"role": "assistant", "content": ""}}
        said = empty if kind is Kind.CHAT else {"response": ""}
        stamp = rfc3339(time.time())
        body = {
            "model": asked.wanted, "created_at": stamp, **said, "done": True, "done_reason": reason
        }  # fmt: skip
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    async def _read(self, request: web.Request, kind: type[_R]) -> _R:
        return decode(await read_body(request), kind)


def decode(body: bytes, kind: type[_R]) -> _R:
    """An Ollama request. Raises UserError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"invalid request: {error}") from error


def _call(
    asked: ollama.Request,
    operation: Operation,
    body: dict[str, object],
    *,
    stream: bool,
    preload: bool = False,
) -> Call:
    check_bounds(body)
    encoded = msgspec.json.encode(body)
    check_nesting(encoded)
    return Call(
        operation,
        asked.wanted,
        encoded,
        stream=stream,
        preload=preload,
        keep_alive=ollama.keep_alive_of(asked),
        context_size=ollama.context_of(asked),
    )


class _Errors:
    """What all of Ollama's answers have in common. Its lines know no comments to pass the time."""

    stream_type = "application/x-ndjson"

    def failed(self, body: bytes) -> bytes:
        return body + b"\n"

    def error(self, error: StokerError) -> bytes:
        return fault(error_text(error), request_id.get())

    def waiting(self, state: str) -> bytes:
        del state
        return b""


class Translated(_Errors):
    """A chat or a completion, streamed or not."""

    def __init__(self, kind: Kind, model: str) -> None:
        self._answer = OllamaAnswer(kind, model)

    def begin(self, served: str, loaded: float) -> None:
        del served
        self._answer.load = int(loaded * 1e9)

    def feed(self, chunk: bytes) -> bytes:
        return self._answer.feed(chunk)

    def flush(self) -> bytes:
        return self._answer.flush()

    def whole(self, status: int, body: bytes) -> bytes:
        if status >= 400:
            return fault(engine_text(body), request_id.get())
        return self._answer.whole(body)


class TranslatedVectors(_Errors):
    """Embeddings; `old`: in the form of `/api/embeddings`."""

    def __init__(self, model: str, *, old: bool = False) -> None:
        self._model = model
        self._old = old
        self._load = 0

    def begin(self, served: str, loaded: float) -> None:
        del served
        self._load = int(loaded * 1e9)

    def feed(self, chunk: bytes) -> bytes:
        return chunk  # engines answer these in one piece

    def flush(self) -> bytes:
        return b""

    def whole(self, status: int, body: bytes) -> bytes:
        if status >= 400:
            return fault(engine_text(body), request_id.get())
        return embeddings_answer(body) if self._old else embed_answer(body, self._model, self._load)
