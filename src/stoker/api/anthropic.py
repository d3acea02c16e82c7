"""Anthropic's routes. The engine speaks the dialect; only errors are brought into its form."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiohttp import web

from stoker.api.inference import PREFIXES, preload
from stoker.api.scope import Scope, open_to
from stoker.base.errors import StokerError
from stoker.gateway import Gateway, Operation, Passthrough, decode_call, read_body
from stoker.gateway.answer import error_text
from stoker.gateway.blame import engine_text
from stoker.observe.request_id import request_id
from stoker.wire.anthropic import fault

_PATHS: Final = {
    "/v1/messages": Operation.MESSAGES,
    "/v1/messages/count_tokens": Operation.COUNT_TOKENS,
}


class AnthropicRoutes:
    """Messages and token counts, under `/anthropic` and every prefix of OpenAI's routes."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        for prefix in ("/anthropic", *PREFIXES):
            for path, operation in _PATHS.items():
                yield web.post(f"{prefix}{path}", self._handler(operation))

    def _handler(
        self, operation: Operation
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        @open_to(Scope.MODELS)
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await read_body(request)
            engine = request.match_info.get("engine")
            call = decode_call(body, operation, engine, preload=preload(request))
            return await self._gateway.serve(request, call, AnthropicAnswer(call.model))

        return handle


class AnthropicAnswer(Passthrough):
    """The engine's bytes; its errors, and ours, in Anthropic's envelope."""

    def whole(self, status: int, body: bytes) -> bytes:
        if status < 400:
            return super().whole(status, body)
        return fault(status, engine_text(body), request_id.get())

    def failed(self, body: bytes) -> bytes:
        return b"event: error\ndata: " + body + b"\n\n"

    def error(self, error: StokerError) -> bytes:
        return fault(500, error_text(error), request_id.get())
