"""Questions to the hub: with the user's token, repeated while that may help, failures explained."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar, final

from yarl import URL

from stoker.base.errors import HubError, RateLimited, RemoteError
from stoker.hub.failures import Broken, Errand, answer_error
from stoker.hub.http import Response, Transport
from stoker.hub.options import HubOptions

_T = TypeVar("_T")

Sleep = Callable[[float], Awaitable[None]]


@final
class Asker:
    """Sends what one errand needs."""

    def __init__(
        self,
        transport: Transport,
        options: HubOptions,
        errand: Errand,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._options = options
        self._errand = errand
        self._sleep = sleep

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
        """One attempt: a 200 answer, to a range also 206 or 416. `path` is for messages."""
        token = self._errand.token
        bearer = f"Bearer {token.value}" if token else None
        async with self._transport.get(url, authorization=bearer, headers=headers) as response:
            partial = response.status in {206, 416} and "Range" in headers
            if response.status != 200 and not partial:
                raise answer_error(
                    response.status,
                    response.headers,
                    self._errand.with_file(path) if path else self._errand,
                    host=response.host,
                    elsewhere=response.elsewhere,
                )
            yield response

    async def persist(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat what may pass. Raises what the last attempt raised."""
        pause = self._options.pause
        for _ in range(self._options.attempts - 1):
            wait = pause
            try:
                return await attempt()
            except RateLimited as error:
                wait = max(pause, error.retry_after or 0.0)
                if wait > self._options.longest_pause:
                    raise
            except RemoteError as error:
                if not _may_pass(error):
                    raise
            await self._sleep(wait)
            pause *= 2
        return await attempt()


def _may_pass(error: RemoteError) -> bool:
    if isinstance(error, Broken):
        return True
    return isinstance(error, HubError) and (error.status or 0) >= 500
