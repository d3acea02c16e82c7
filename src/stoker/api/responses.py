"""OpenAI's Responses: create, read, delete. Answers come from the engine, memory is here."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from stoker.api.inference import PREFIXES, preload
from stoker.api.query import reads
from stoker.api.scope import Scope, open_to
from stoker.api.views import json_response
from stoker.base.errors import NotFound, UserError
from stoker.gateway import Call, Gateway, Operation, Passthrough, decode_call, read_body
from stoker.gateway.blame import engine_fault
from stoker.gateway.caller import CALLER
from stoker.wire.responses import Create, Item
from stoker.wire.responses_stream import ResponseStream

_TTL: Final = 3600.0
"""Seconds a response is remembered after it was made, as in Docker Model Runner."""
_MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all that is remembered; the oldest goes first."""


class ItemsQuery(msgspec.Struct):
    """`desc`: the last one first."""

    order: Literal["asc", "desc"] = "desc"


class PreviousNotFound(UserError):
    """`previous_response_id` names nothing: OpenAI's code, by which clients know to start anew."""

    code = "previous_response_not_found"


@dataclass(frozen=True, slots=True)
class Stored:
    """A response, the items it was asked with, and the conversation up to and with it."""

    response: dict[str, Any]
    input: tuple[Item, ...]
    history: tuple[Item, ...]
    size: int
    made: float
    tenant: str


class ResponseStore:
    """What is remembered: bounded in bytes and in time, gone when the daemon ends."""

    def __init__(
        self, *, max_bytes: int = _MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._size = 0

    def put(
        self,
        response: dict[str, Any],
        asked: list[Item],
        history: tuple[Item, ...],
        tenant: str = "",
    ) -> None:
        """Remember a finished response."""
        items = tuple({"id": f"item_{secrets.token_hex(8)}", **item} for item in asked)
        # Earlier items are shared with the responses before, but those may go first.
        whole = (*history, *items, *response["output"])
        size = len(msgspec.json.encode([response, whole]))
        stored = Stored(response, items, whole, size, self._clock(), tenant)
        self.drop(response["id"])
        self._kept[response["id"]] = stored
        self._size += size
        while self._size > self._max_bytes:
            self.drop(next(iter(self._kept)))

    def get(self, name: str, tenant: str = "") -> Stored | None:
        """A response that is still remembered, for whom it was made."""
        now = self._clock()
        while self._kept and now - next(iter(self._kept.values())).made > _TTL:
            self.drop(next(iter(self._kept)))
        stored = self._kept.get(name)
        return stored if stored and stored.tenant == tenant else None

    def drop(self, name: str) -> bool:
        """Forget a response; False when it was not there."""
        stored = self._kept.pop(name, None)
        self._size -= stored.size if stored else 0
        return stored is not None


class ResponsesRoutes:
    """`/responses` under every prefix, with and without `/v1`."""

    def __init__(self, gateway: Gateway, store: ResponseStore) -> None:
        self._gateway = gateway
        self._store = store

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        for prefix in (*PREFIXES[:2], *(f"{prefix}/v1" for prefix in PREFIXES)):
            yield web.post(f"{prefix}/responses", self.create)
            yield web.post(f"{prefix}/responses/input_tokens", self.count)
            yield web.get(f"{prefix}/responses/{{id}}", self.get)
            yield web.delete(f"{prefix}/responses/{{id}}", self.delete)
            yield web.get(f"{prefix}/responses/{{id}}/input_items", self.input_items)

    @open_to(Scope.MODELS)
    async def create(self, request: web.Request) -> web.StreamResponse:
        call, create, history = await self._asked(request, Operation.RESPONSES)

        def done(response: dict[str, Any]) -> None:
            if create.store:
                self._store.put(response, create.input, history, request[CALLER].tenant)

        return await self._gateway.serve(request, call, ResponsesAnswer(call.model, create, done))

    @open_to(Scope.MODELS)
    async def count(self, request: web.Request) -> web.StreamResponse:
        """How many tokens a response would read, what it continues included."""
        call, _, _ = await self._asked(request, Operation.RESPONSES_INPUT_TOKENS)
        return await self._gateway.serve(request, call)

    async def _asked(
        self, request: web.Request, operation: Operation
    ) -> tuple[Call, Create, tuple[Item, ...]]:
        """What to ask the engine, what the client asked for, and the conversation before it."""
        body = await read_body(request)
        engine = request.match_info.get("engine")
        call = decode_call(body, operation, engine, preload=preload(request))
        create = Create(body, int(time.time()))
        history: tuple[Item, ...] = ()
        if create.previous:
            history = self._find(request, create.previous, "previous_response_id").history
        return replace(call, body=create.upstream(history)), create, history

    @open_to(Scope.MODELS)
    async def get(self, request: web.Request) -> web.StreamResponse:
        return json_response(self._find(request, request.match_info["id"]).response)

    @open_to(Scope.MODELS)
    async def delete(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        self._find(request, name)
        self._store.drop(name)
        return json_response({"deleted": True, "id": name, "object": "response.deleted"})

    @open_to(Scope.MODELS)
    @reads(ItemsQuery)
    async def input_items(self, request: web.Request, query: ItemsQuery) -> web.StreamResponse:
        stored = self._find(request, request.match_info["id"])
        items = list(stored.input)
        if query.order == "desc":
            items.reverse()
        first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
        return json_response(
            {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": False}
        )

    def _find(self, request: web.Request, name: str, field: str = "") -> Stored:
        stored = self._store.get(name, request[CALLER].tenant)
        if stored is None:
            text = f'{field} "{name}" was not found' if field else "Response not found"
            hint = "responses are kept for an hour, and while stoker runs"
            raise PreviousNotFound(text, hint=hint) if field else NotFound(text, hint=hint)
        return stored


class ResponsesAnswer(Passthrough):
    """The engine's answer with what it leaves out; `done` gets the finished response."""

    def __init__(self, asked: str, create: Create, done: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(asked)
        self._create = create
        self._finished = done
        self._stream = ResponseStream(create, done)

    def feed(self, chunk: bytes) -> bytes:
        return self._stream.feed(chunk)

    def flush(self) -> bytes:
        return self._stream.flush()

    def whole(self, status: int, body: bytes) -> bytes:
        if status >= 400:
            return body
        response = self._create.complete(msgspec.json.decode(body, type=dict[str, Any]))
        self._finished(response)
        return msgspec.json.encode(response)

    def failed(self, body: bytes) -> bytes:
        return self._stream.failure(*engine_fault(body))
