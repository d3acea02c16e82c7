"""Questions to the hub: with the user's token, repeated while that may help, failures explained."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar, final

from yarl import URL

from stoker.base.errors import Broken, HubError, RateLimited, RemoteError
from stoker.hub.failures import Errand, answer_error
from stoker.hub.options import HubOptions
from stoker.net.request import Request
from stoker.net.response import Response
from stoker.net.retry import is_transient
from stoker.net.transport import Transport

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How time passes and chance falls: tests have their own."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


@final
class Asker:
    """Sends what one errand needs."""

    def __init__(
        self,
        transport: Transport,
        options: HubOptions,
        errand: Errand,
        *,
        waiting: Waiting,
    ) -> None:
        self._transport = transport
        self._retry = options.net.retry
        self._errand = errand
        self._waiting = waiting
        self.endpoint: Final = URL(options.endpoint)

    async def metadata(self, url: URL, limit: int) -> tuple[bytes, Mapping[str, str]]:
        """The whole answer, at most `limit` bytes, and its headers. Raises RemoteError."""

        async def attempt() -> tuple[bytes, Mapping[str, str]]:
            async with self.get(url, {"Accept": "application/json"}) as response:
                return await response.read(limit), response.headers

        return await self.persist(attempt)

    @contextlib.asynccontextmanager
    async def get(
        self, url: URL, headers: Mapping[str, str], *, path: str = ""
    ) -> AsyncIterator[Response]:
        """One attempt: a 200 answer, to a range also 206 or 416. `path` is for messages.

        The token goes to the endpoint only, and nobody may send us to a place more private than
        the endpoint is.
        """
        request, fence = Request("GET", url, headers), None
        if url.origin() != self.endpoint.origin():
            fence = await self._transport.fence_of(self.endpoint)
        elif self._errand.token:
            request = request.with_headers(Authorization=f"Bearer {self._errand.token.value}")
        async with self._transport.send(request, fence=fence) as response:
            partial = response.status in {206, 416} and "Range" in headers
            if response.status != 200 and not partial:
                raise answer_error(
                    response.status,
                    response.headers,
                    self._errand.with_file(path) if path else self._errand,
                    host=response.host,
                    elsewhere=self.is_elsewhere(response),
                )
            yield response

    def is_elsewhere(self, response: Response) -> bool:
        """Whether a host that the hub named answered, and not the hub."""
        return response.url.origin() != self.endpoint.origin()

    async def persist(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat what may pass, its body included. Raises what the last attempt raised."""
        tried, waited = 0, 0.0
        while True:
            tried += 1
            try:
                return await attempt()
            except RemoteError as error:
                pause = self._retry.wait(
                    tried,
                    waited=waited,
                    retry_after=error.retry_after if isinstance(error, RateLimited) else None,
                    chance=self._waiting.chance,
                )
                if pause is None or not _may_pass(error):
                    raise
            waited += pause
            await self._waiting.sleep(pause)


def _may_pass(error: RemoteError) -> bool:
    if isinstance(error, Broken | RateLimited):
        return True
    return isinstance(error, HubError) and is_transient(error.status or 0)
