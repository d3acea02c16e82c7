"""Model requests: paths to operations. Everything else about them is the gateway's."""

from collections.abc import Iterator

from aiohttp import web

from stoker.api.views import openai_list, openai_model
from stoker.gateway import Gateway, Operation
from stoker.library import Library

# The engine in the path is optional, and `/v1` alone serves clients that want nothing but a host.
_PREFIXES = ("/engines/{engine}/v1", "/engines/v1", "/v1")


class InferenceRoutes:
    """OpenAI's routes under every prefix."""

    def __init__(self, gateway: Gateway, library: Library) -> None:
        self._gateway = gateway
        self._library = library

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        # `/engines/v1` comes before `/engines/{engine}/v1` could take "v1" for an engine.
        for prefix in sorted(_PREFIXES, key=lambda p: "{" in p):
            yield web.post(f"{prefix}/chat/completions", self.chat)
            yield web.post(f"{prefix}/completions", self.completions)
            yield web.post(f"{prefix}/embeddings", self.embeddings)
            yield web.get(f"{prefix}/models", self.models)
            yield web.get(f"{prefix}/models/{{name:.+}}", self.model)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, Operation.CHAT)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, Operation.COMPLETIONS)

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, Operation.EMBEDDINGS)

    async def models(self, request: web.Request) -> web.StreamResponse:
        del request
        return openai_list(self._library.models())

    async def model(self, request: web.Request) -> web.StreamResponse:
        return openai_model(self._library.find(request.match_info["name"]))

    async def _serve(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        return await self._gateway.serve(request, operation, request.match_info.get("engine"))
