"""`/models/{name}/trust-remote-code`: whether a model's own code may be run. Ours alone."""

import asyncio
from collections.abc import Iterator
from typing import final

from aiohttp import web

from stoker.api.admission import require_own_socket
from stoker.api.models import read_json
from stoker.api.views import json_response, native
from stoker.base.errors import Conflict
from stoker.library import Library, LocalModel
from stoker.library.consents import Consents, check_consent
from stoker.scheduler import Scheduler
from stoker.store import Store
from stoker.wire.code import Consent


@final
class ConsentRoutes:
    """They come before those of names. A change stops the model's idle runners."""

    def __init__(
        self, consents: Consents, library: Library, store: Store, scheduler: Scheduler
    ) -> None:
        self._consents = consents
        self._library = library
        self._store = store
        self._scheduler = scheduler

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.post("/models/{name:.+}/trust-remote-code", self.give)
        yield web.delete("/models/{name:.+}/trust-remote-code", self.withdraw)

    async def give(self, request: web.Request) -> web.StreamResponse:
        """Let the code of the model with this digest run; only through the daemon's own socket."""
        asked = await read_json(request, Consent)
        require_own_socket(request, "running a model's own code can be consented to only")
        model = self._library.find(request.match_info["name"])
        check_consent(model, asked.digest)
        self._check_idle(model)
        self._consents.give(model.id)
        return self._changed(model)

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        """Let it run no more."""
        model = self._library.find(request.match_info["name"])
        self._check_idle(model)
        self._consents.withdraw(model.id)
        # Whoever was about to start it with its code finds none.
        await asyncio.to_thread(self._store.drop_code, model.id)
        return self._changed(model)

    def _check_idle(self, model: LocalModel) -> None:
        if any(key.model == model.id for key in self._scheduler.busy()):
            raise Conflict("the model is answering requests just now", hint="try again after them")

    def _changed(self, model: LocalModel) -> web.StreamResponse:
        running = (status.key for status in self._scheduler.status())
        self._scheduler.unload(frozenset(key for key in running if key.model == model.id))
        return json_response(native(self._library.find(model.id)))
