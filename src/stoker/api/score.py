"""`/score`: a route of Docker Model Runner's that only some engines have; all of them rank."""

from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web

from stoker.api.inference import PREFIXES, preload
from stoker.api.scope import Scope, open_to
from stoker.gateway import Gateway, Operation, Passthrough, decode_call, read_body
from stoker.wire.score import rerank_body, score_answer


class ScoreRoutes:
    """`/score` under every prefix, with and without `/v1`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        for prefix in PREFIXES:
            for path in ("/score", "/v1/score"):
                yield web.post(f"{prefix}{path}", self.score)

    @open_to(Scope.MODELS)
    async def score(self, request: web.Request) -> web.StreamResponse:
        """How well each of some texts answers one."""
        body = await read_body(request)
        engine = request.match_info.get("engine")
        call = decode_call(body, Operation.RERANK, engine, preload=preload(request))
        call = replace(call, body=rerank_body(body))
        return await self._gateway.serve(request, call, _Scores(call.model))


class _Scores(Passthrough):
    """The engine's ranking as scores."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self._model = asked

    def whole(self, status: int, body: bytes) -> bytes:
        return body if status >= 400 else score_answer(body, self._model)
