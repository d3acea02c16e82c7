"""Reading from a registry or one of its mirrors: the first good answer counts."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import final

from stoker.base.errors import ModelNotFound, RemoteError
from stoker.net.request import Request
from stoker.net.response import Response
from stoker.registry.endpoint import Endpoint, failure_of
from stoker.registry.errand import Errand

log = logging.getLogger(__name__)


@final
class Readers:
    """The places where content can be read. The last one is the registry itself."""

    def __init__(self, endpoints: Sequence[Endpoint], errand: Errand) -> None:
        *self._mirrors, self._registry = endpoints
        self._errand = errand

    async def get(
        self, stack: contextlib.AsyncExitStack, path: str, headers: Mapping[str, str]
    ) -> Response:
        """A 200 answer, to a range also 206 or 416; the stack holds it open.

        Raises what the registry's own answer means, whatever the mirrors said.
        """
        for mirror in self._mirrors:
            async with contextlib.AsyncExitStack() as attempt:
                try:
                    response = await self._ask(attempt, mirror, path, headers)
                except (RemoteError, ModelNotFound) as error:
                    # A mirror may be behind, down or closed; the registry has the last word.
                    log.info("mirror passed over host=%s error=%s", mirror.host, error.code)
                    continue
                await stack.enter_async_context(attempt.pop_all())
                return response
        return await self._ask(stack, self._registry, path, headers)

    async def _ask(
        self,
        stack: contextlib.AsyncExitStack,
        endpoint: Endpoint,
        path: str,
        headers: Mapping[str, str],
    ) -> Response:
        request = Request("GET", endpoint.url(path), headers)
        response = await stack.enter_async_context(endpoint.send(request, self._errand))
        if response.status in {200, 206} or (response.status == 416 and "Range" in headers):
            return response
        raise await failure_of(response, self._errand)
