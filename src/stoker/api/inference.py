"""Model requests: paths to operations. Everything else about them is the gateway's."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiohttp import web

from stoker.api.scope import Scope, open_to
from stoker.api.views import find_usable, openai_list, openai_model, visible
from stoker.base.errors import UnsupportedOperation
from stoker.gateway import Gateway, Operation, decode_call, read_body
from stoker.library import Library

# The engine in the path is optional, and the last one serves clients that want nothing but a host.
# In this order: `/engines/{engine}` must not take "v1" or "rerank" for an engine.
PREFIXES: Final = ("/engines", "", "/engines/{engine}")

# Engines speak all of these themselves, so their bytes pass through.
_WITH_V1: Final = {
    "/chat/completions": Operation.CHAT,
    "/completions": Operation.COMPLETIONS,
    "/embeddings": Operation.EMBEDDINGS,
    "/rerank": Operation.RERANK,
    "/tokenize": Operation.TOKENIZE,
    "/detokenize": Operation.DETOKENIZE,
    "/apply-template": Operation.APPLY_TEMPLATE,
}
# `/rerank` is Docker's; litellm leaves `/v1` out of the others when its base URL has none.
_WITHOUT_V1: Final = {
    path: _WITH_V1[path] for path in ("/chat/completions", "/completions", "/embeddings", "/rerank")
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class InferenceRoutes:
    """OpenAI's routes under every prefix, and those of the same kind."""

    def __init__(self, gateway: Gateway, library: Library) -> None:
        self._gateway = gateway
        self._library = library

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        for prefix in PREFIXES:
            for path, operation in _WITH_V1.items():
                yield web.post(f"{prefix}/v1{path}", self._handler(operation))
            for path, operation in _WITHOUT_V1.items():
                yield web.post(f"{prefix}{path}", self._handler(operation))
            yield web.post(f"{prefix}/v1/images/generations", self.images)
            yield web.get(f"{prefix}/v1/models", self.models)
            yield web.get(f"{prefix}/v1/models/{{name:.+}}", self.model)

    @open_to(Scope.MODELS)
    async def models(self, request: web.Request) -> web.StreamResponse:
        return openai_list(visible(request, self._library.models()))

    @open_to(Scope.MODELS)
    async def model(self, request: web.Request) -> web.StreamResponse:
        return openai_model(find_usable(request, self._library, request.match_info["name"]))

    @open_to(Scope.MODELS)
    async def images(self, request: web.Request) -> web.StreamResponse:
        """A route of Docker Model Runner's that its diffusers engine answers."""
        del request
        raise UnsupportedOperation(
            "images cannot be generated: no engine here draws",
            hint="llama.cpp and vLLM answer with text; models that see take images in a chat",
        )

    def _handler(self, operation: Operation) -> Handler:
        @open_to(Scope.MODELS)
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await read_body(request)
            engine = request.match_info.get("engine")
            call = decode_call(body, operation, engine, preload=preload(request))
            return await self._gateway.serve(request, call)

        return handle


def preload(request: web.Request) -> bool:
    """Docker Model Runner's way to ask for a model to be loaded and nothing else."""
    return request.headers.get("X-Preload-Only") == "true"
