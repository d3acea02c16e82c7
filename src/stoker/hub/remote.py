"""One repository at the hub: its addresses, its metadata, its bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, TypeVar, final
from urllib.parse import quote

from yarl import URL

from stoker.base.errors import HubError, ParseError, RateLimited, RemoteError
from stoker.hub.body import Span, WireBody, body_of
from stoker.hub.failures import Broken, Errand, answer_error
from stoker.hub.http import Response, Transport
from stoker.hub.options import HubOptions, Token
from stoker.hub.redirect import host_name
from stoker.hub.wire import (
    MAX_FILES,
    MAX_INFO,
    MAX_PAGE,
    MAX_PAGES,
    ModelInfo,
    RepoFile,
    next_page,
    parse_info,
    parse_page,
)

_T = TypeVar("_T")

Sleep = Callable[[float], Awaitable[None]]


@final
class Remote:
    """Requests about one repository, with one token. Made by `HubClient`; needs no closing."""

    def __init__(
        self,
        repository: str,
        *,
        transport: Transport,
        options: HubOptions,
        token: Token | None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.repository: Final = repository
        self._transport = transport
        self._options = options
        self._sleep = sleep
        self._authorization = f"Bearer {token.value}" if token else None
        self._errand = Errand(repository, f"{options.endpoint}/{repository}", token)

    @property
    def host(self) -> str:
        """What errors call the hub."""
        return host_name(URL(self._options.endpoint))

    async def info(self, revision: str) -> ModelInfo:
        """The commit that a revision means now. Raises ModelNotFound, ParseError, RemoteError."""
        url = self._url(f"api/models/{self.repository}/revision/{quote(revision, safe='')}")
        data, _ = await self._metadata(url, MAX_INFO)
        return parse_info(data, asked=self.repository)

    async def files(self, commit: str) -> tuple[RepoFile, ...]:
        """Every file at that commit, all pages. Raises ParseError, RemoteError."""
        url = self._url(f"api/models/{self.repository}/tree/{commit}?recursive=true")
        found: list[RepoFile] = []
        for _ in range(MAX_PAGES):
            data, headers = await self._metadata(url, MAX_PAGE)
            found += parse_page(data, asked=self.repository)
            if len(found) > MAX_FILES:
                raise ParseError(
                    f"{self.repository} has more than {MAX_FILES} files; that is no model"
                )
            following = next_page(headers.get("Link"))
            if following is None:
                return tuple(found)
            url = url.join(URL(following, encoded=True))
        raise ParseError(f"the file list of {self.repository} has more than {MAX_PAGES} pages")

    async def read(self, commit: str, file: RepoFile, at: int, length: int) -> bytes:
        """Some bytes of a file, fewer at its end; for headers and small files.

        Raises SizeMismatch, RemoteError.
        """

        async def attempt() -> bytes:
            async with self.open(commit, file, at, length) as body:
                # A server without ranges begins at 0: pass over what was not asked for.
                skip, held = at - body.offset, bytearray()
                async with contextlib.aclosing(aiter(body)) as chunks:
                    async for chunk in chunks:
                        held += chunk[skip:] if skip > 0 else chunk
                        skip = max(0, skip - len(chunk))
                        if len(held) >= length:
                            break
                return bytes(held[:length])

        return await self._persist(attempt)

    @contextlib.asynccontextmanager
    async def open(
        self, commit: str, file: RepoFile, at: int, length: int | None
    ) -> AsyncIterator[WireBody]:
        """Stream a file from byte `at`. One attempt: a transfer has its own patience.

        Raises SizeMismatch, ModelNotFound, RemoteError.
        """
        span = Span.of(file.size, at, length)
        path = quote(file.path, safe="/")
        url = self._url(f"{self.repository}/resolve/{commit}/{path}")
        headers = {} if span.is_whole else {"Range": span.header}
        async with self._get(url, headers, file.path) as response:
            yield body_of(response, span, file.path)

    async def _metadata(self, url: URL, limit: int) -> tuple[bytes, Mapping[str, str]]:
        async def attempt() -> tuple[bytes, Mapping[str, str]]:
            async with self._get(url, {"Accept": "application/json"}, "") as response:
                return await response.read(limit), response.headers

        return await self._persist(attempt)

    @contextlib.asynccontextmanager
    async def _get(
        self, url: URL, headers: Mapping[str, str], path: str
    ) -> AsyncIterator[Response]:
        sending = self._transport.get(url, authorization=self._authorization, headers=headers)
        async with sending as response:
            partial = response.status in {206, 416} and "Range" in headers
            if response.status != 200 and not partial:
                errand = Errand(
                    self._errand.repository, self._errand.page, self._errand.token, path
                )
                raise answer_error(
                    response.status,
                    response.headers,
                    errand,
                    host=response.host,
                    elsewhere=response.elsewhere,
                )
            yield response

    async def _persist(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
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

    def _url(self, path: str) -> URL:
        return URL(f"{self._options.endpoint}/{path}", encoded=True)


def _may_pass(error: RemoteError) -> bool:
    if isinstance(error, Broken):
        return True
    return isinstance(error, HubError) and (error.status or 0) >= 500
