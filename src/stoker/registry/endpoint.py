"""One API host of a registry: builds its URLs and drives the authorisation of requests to it."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import Final, final

from yarl import URL

from stoker.base.errors import StokerError
from stoker.net.hosts import host_name
from stoker.net.reach import Fence
from stoker.net.request import Request
from stoker.net.response import Response
from stoker.net.transport import Transport
from stoker.registry.auth import Answer, Ask, Reply, Step, authorize
from stoker.registry.challenge import Challenge, parse_challenges
from stoker.registry.credentials import Credentials
from stoker.registry.errand import Errand
from stoker.registry.failures import MAX_ERROR_BODY, answer_error
from stoker.registry.tokens import MAX_TOKEN_ANSWER, TokenCache


@final
class Identity:
    """Who we are towards registries: credentials, and the tokens that they brought."""

    def __init__(
        self, credentials: Credentials, cache: TokenCache, trusted: frozenset[str] = frozenset()
    ) -> None:
        self.credentials: Final = credentials
        self.cache: Final = cache
        self.trusted: Final = trusted
        self._turns: weakref.WeakValueDictionary[tuple[str, frozenset[str]], asyncio.Lock]
        self._turns = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, host: str, scopes: frozenset[str]) -> AsyncIterator[None]:
        """Only one request at a time finds out what a host wants; the others use its token."""
        if self.cache.knows(host, scopes):
            yield
            return
        lock = self._turns.setdefault((host, scopes), asyncio.Lock())
        async with lock:
            yield


@final
class Endpoint:
    """`https://host/v2/` and everything below."""

    def __init__(self, transport: Transport, base: URL, identity: Identity) -> None:
        self._transport = transport
        self._identity = identity
        self.base: Final = base

    @property
    def host(self) -> str:
        """What errors call it."""
        return host_name(self.base)

    def url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """The URL of `/v2/<path>`; path parts were checked when their reference was parsed."""
        url = self.base.join(URL(f"/v2/{path}", encoded=True))
        return url.with_query(query) if query else url

    @contextlib.asynccontextmanager
    async def send(
        self, request: Request, errand: Errand, *, fence: Fence | None = None
    ) -> AsyncIterator[Response]:
        """Send with what the registry wants to see; the answer may have any status.

        A URL on another host (an upload's `Location`) goes out bare: neither token nor password
        of this registry is its business. Raises AuthRequired, Denied, Unreachable, RegistryError.
        """
        async with contextlib.AsyncExitStack() as stack:
            if request.url.origin() != self.base.origin():
                response = await stack.enter_async_context(
                    self._transport.send(request, fence=fence)
                )
            else:
                async with self._identity.turn(self.host, errand.scopes):
                    response = await self._authorized(stack, request, errand)
            yield response

    async def _authorized(
        self, stack: contextlib.AsyncExitStack, request: Request, errand: Errand
    ) -> Response:
        flow = authorize(
            request,
            registry=self.base,
            errand=errand,
            cache=self._identity.cache,
            trusted=self._identity.trusted,
        )
        step: Step = next(flow)
        while True:
            attempt = contextlib.AsyncExitStack()
            async with attempt:
                response, reply = await self._carry_out(attempt, step)
                try:
                    step = flow.send(reply)
                except StopIteration:
                    if response is None:
                        raise RuntimeError(
                            "an authorisation flow ended without an answer"
                        ) from None
                    await stack.enter_async_context(attempt.pop_all())
                    return response

    async def _carry_out(
        self, stack: contextlib.AsyncExitStack, step: Step
    ) -> tuple[Response | None, Reply]:
        if isinstance(step, Ask):
            return None, await self._identity.credentials.find(step.host)
        sending = self._transport.send(step.request, fence=step.fence)
        response = await stack.enter_async_context(sending)
        challenges = () if response.redirected else _challenges(response)
        body = await response.read(MAX_TOKEN_ANSWER) if step.fence else b""
        retry_after = response.headers.get("Retry-After")
        return response, Answer(response.status, response.reach, challenges, body, retry_after)


def _challenges(response: Response) -> tuple[Challenge, ...]:
    return parse_challenges(response.headers.getall("WWW-Authenticate", []))


async def failure_of(response: Response, errand: Errand) -> StokerError:
    """Read an unwanted answer and say what it means."""
    return answer_error(
        status=response.status,
        body=await response.read_some(MAX_ERROR_BODY),
        retry_after=response.headers.get("Retry-After"),
        host=response.host,
        elsewhere=response.redirected,
        errand=errand,
    )
