"""One HTTP exchange with a host we do not control: redirects, retries, limits, and no surprises.

Redirects are followed here and not by aiohttp, because `Range` must survive them and
`Authorization` must not (security rows 8 and 9).
"""

import asyncio
import contextlib
import io
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, final

import aiohttp
from yarl import URL

from stoker.base.errors import Broken, StokerError
from stoker.net.failures import connection_error
from stoker.net.hosts import host_name
from stoker.net.lanes import Lanes
from stoker.net.names import Names
from stoker.net.options import NetOptions
from stoker.net.reach import Fence, Reach, refused
from stoker.net.redirect import next_hop
from stoker.net.request import Request
from stoker.net.response import Response
from stoker.net.retry import IDEMPOTENT, is_transient, parse_retry_after
from stoker.net.service import Service

log = logging.getLogger(__name__)

MAX_REDIRECTS: Final = 10


@final
class Transport:
    """Sends requests. One per client; `aclose` closes every connection."""

    def __init__(
        self,
        options: NetOptions,
        service: Service,
        *,
        names: Names | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._service = service
        self._lanes = Lanes(options, service, names or Names())
        self._sleep = sleep

    async def aclose(self) -> None:
        await self._lanes.aclose()

    async def fence_of(self, url: URL) -> Fence:
        """Where a host that the user named may lead. Raises Unreachable, Denied."""
        return Fence(Reach.PUBLIC, await self._lanes.reach(url))

    @contextlib.asynccontextmanager
    async def send(
        self, request: Request, *, fence: Fence | None = None
    ) -> AsyncIterator[Response]:
        """Send, follow redirects, try again where that is safe; the block holds the connection.

        The answer may have any status. `fence` bounds where a URL that the user did not name may
        lead. Raises Unreachable, Denied, the service's error.
        """
        raw, reach = await self._persist(request, fence)
        async with raw:
            yield Response(raw, asked=request.url, reach=reach, service=self._service)

    async def _persist(
        self, request: Request, fence: Fence | None
    ) -> tuple[aiohttp.ClientResponse, Reach]:
        """Repeat until an answer, or an error, that more patience would not change."""
        policy = self._options.retry
        safe = request.method in IDEMPOTENT if request.repeatable is None else request.repeatable
        attempt, waited = 0, 0.0
        while True:
            attempt += 1
            failure: Broken | None = None
            answer: tuple[aiohttp.ClientResponse, Reach] | None = None
            retry_after: float | None = None
            try:
                answer = await self._follow(request, fence)
            except Broken as error:
                failure = error
            else:
                status = answer[0].status
                # 429 was not carried out, so even a POST may be sent again.
                if not is_transient(status) or not (safe or status == 429):
                    return answer
                said = answer[0].headers.get("Retry-After")
                retry_after = parse_retry_after(said, now=time.time())
            pause = policy.wait(
                attempt, waited=waited, retry_after=retry_after, chance=random.random
            )
            if failure and (pause is None or not safe):
                raise failure
            if answer:
                if pause is None:
                    return answer
                answer[0].close()
            if pause is not None:
                host = host_name(request.url)
                log.info("retry method=%s host=%s pause=%.1f", request.method, host, pause)
                waited += pause
                await self._sleep(pause)

    async def _follow(
        self, request: Request, fence: Fence | None
    ) -> tuple[aiohttp.ClientResponse, Reach]:
        """One attempt, through its redirects. The reach is that of the last host."""
        url, headers = request.url, dict(request.headers)
        for _ in range(MAX_REDIRECTS + 1):
            raw, reach = await self._once(request, url, headers, fence)
            try:
                location = raw.headers.get("Location")
                failure = self._service.failure
                hop = next_hop(request.method, raw.status, url, location, headers, failure=failure)
            except StokerError:
                raw.close()
                raise
            if hop is None:
                return raw, reach
            raw.close()
            # The first host sets how far the others may lead; a later one cannot widen it.
            high = reach if fence is None else min(fence.high, reach)
            fence = Fence(fence.low if fence else Reach.PUBLIC, high)
            if request.secret_body and hop.url.origin() != url.origin():
                raise refused(host_name(hop.url), "a redirect would give it somebody else's token")
            url, headers = hop.url, dict(hop.headers)
        host = str(request.url.host)
        raise self._service.failure(
            f"{host} redirects more than {MAX_REDIRECTS} times", origin=host
        )

    async def _once(
        self, request: Request, url: URL, headers: Mapping[str, str], fence: Fence | None
    ) -> tuple[aiohttp.ClientResponse, Reach]:
        lane = await self._lanes.choose(url, fence)
        timeouts = self._options.timeouts
        size = len(request.body) if request.body is not None else 0
        first_byte = timeouts.commit if request.slow else timeouts.first_byte
        deadline = timeouts.connect + first_byte + size / timeouts.slowest_upload
        # aiohttp's `sock_read` counts while waiting for the first byte as well.
        idle = max(first_byte, timeouts.idle) if request.slow else timeouts.idle
        host = host_name(url)
        try:
            async with asyncio.timeout(deadline):
                raw = await lane.session.request(
                    request.method,
                    url,
                    # A digest is of the bytes as they are kept; nobody may repack them for us.
                    headers={"Accept-Encoding": "identity", **headers},
                    data=None if request.body is None else io.BytesIO(request.body),
                    allow_redirects=False,
                    proxy=lane.proxy,
                    ssl=lane.tls,
                    timeout=aiohttp.ClientTimeout(
                        total=None, sock_connect=timeouts.connect, sock_read=idle
                    ),
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection_error(error, host, self._service) from error
        except ValueError as error:  # a URL or header that aiohttp refuses to send
            raise self._service.failure(
                f"{host} led to an unusable address", origin=host
            ) from error
        # Never the query: it may be a signature.
        log.debug(
            "request method=%s host=%s path=%s status=%d",
            request.method,
            host,
            url.path,
            raw.status,
        )
        return raw, lane.reach
