"""`GET /config`: every setting of the daemon, and where its value came from."""

from collections.abc import Iterator

from aiohttp import web

from stoker.api.views import json_response
from stoker.base.config import Config
from stoker.wire.config import Effective


class ConfigRoutes:
    """Settings are read once, when the daemon starts."""

    def __init__(self, config: Config) -> None:
        self._settings = {
            name: Effective(getattr(config, name), origin)
            for name, origin in sorted(config.origins.items())
        }

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/config", self.config)

    async def config(self, request: web.Request) -> web.StreamResponse:
        """Setting name to value and origin."""
        del request
        return json_response(self._settings)
