"""The application: middleware around the route tables that `daemon/compose` lists."""

from collections.abc import Iterator
from typing import Protocol

from aiohttp import web

import stoker
from stoker.api.admission import Admission
from stoker.api.audit import Audit
from stoker.api.middleware import (
    REQUEST_LOG,
    close_if_endless,
    identify,
    sign,
    translate_errors,
)
from stoker.api.origins import Gatekeeper, Policy
from stoker.api.scope import Scope, open_to
from stoker.api.views import json_response
from stoker.gateway import LIMITS, Limits
from stoker.gateway.body import BODIES, Bodies
from stoker.observe.logs import RequestLog
from stoker.wire.manage import Version


class Routes(Protocol):
    """One tree of the API."""

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """Its table."""
        ...


def build_app(
    policy: Policy, admission: Admission, audit: Audit, limits: Limits, *trees: Routes
) -> web.Application:
    """The application; the daemon puts it on its listeners."""
    app = web.Application(middlewares=[identify])
    app.on_response_prepare.extend([sign, close_if_endless])
    app[LIMITS] = limits
    app[BODIES] = Bodies()
    app[REQUEST_LOG] = RequestLog()
    Gatekeeper(policy).install(app)
    app.middlewares.extend([translate_errors, admission.admit, audit.note])
    app.add_routes([web.get("/", root), web.route("*", "/version", version)])
    for tree in trees:
        app.add_routes(list(tree.routes()))
    return app


@open_to(Scope.PUBLIC)
async def root(request: web.Request) -> web.Response:
    """Both texts that clients look for: Docker's, and the one Testcontainers waits for."""
    del request
    return web.Response(text="Docker Model Runner is running\nThe service is running\n")


@open_to(Scope.MODELS)
async def version(request: web.Request) -> web.Response:
    """The daemon's version."""
    del request
    return json_response(Version(stoker.__version__))
