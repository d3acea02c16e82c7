"""The whole route table on one screen."""

from aiohttp import web

import stoker
from stoker.api.engines import EngineRoutes
from stoker.api.inference import InferenceRoutes
from stoker.api.logs import LogRoutes
from stoker.api.middleware import identify, translate_errors
from stoker.api.models import ModelRoutes
from stoker.api.views import json_response
from stoker.wire.manage import Version


def build_app(
    *, models: ModelRoutes, engines: EngineRoutes, inference: InferenceRoutes, logs: LogRoutes
) -> web.Application:
    """The application; the daemon puts it on its listeners."""
    app = web.Application(middlewares=[identify, translate_errors])
    app.add_routes([web.get("/", root), web.route("*", "/version", version)])
    app.add_routes([*models.routes(), *engines.routes(), *inference.routes(), *logs.routes()])
    return app


async def root(request: web.Request) -> web.Response:
    """Both texts that clients look for: Docker's, and the one Testcontainers waits for."""
    del request
    return web.Response(text="Docker Model Runner is running\nThe service is running\n")


async def version(request: web.Request) -> web.Response:
    """The daemon's version."""
    del request
    return json_response(Version(stoker.__version__))
