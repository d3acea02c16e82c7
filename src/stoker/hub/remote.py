"""One repository at the hub: its addresses, its metadata, its bytes."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final, final
from urllib.parse import quote

from yarl import URL

from stoker.base.errors import HubError, ParseError, RemoteError
from stoker.hub.asker import Asker
from stoker.hub.body import body_of
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
from stoker.net.hosts import host_name
from stoker.net.ranges import Span, WireBody
from stoker.net.redirect import target_of


@final
class Remote:
    """One repository, as one user sees it. Made by `HubClient`; needs no closing."""

    def __init__(self, repository: str, endpoint: str, asker: Asker) -> None:
        self.repository: Final = repository
        self._endpoint = endpoint
        self._asker = asker
        # Where the hub sent us for a file: a signed address of its CDN, good for an hour. Asking
        # for it once and not for each range spares a round trip and the user's rate limit.
        self._places: dict[str, URL] = {}

    @property
    def host(self) -> str:
        """What errors call the hub."""
        return host_name(URL(self._endpoint))

    async def info(self, revision: str) -> ModelInfo:
        """The commit that a revision means now. Raises ModelNotFound, ParseError, RemoteError."""
        url = self._url(f"api/models/{self.repository}/revision/{quote(revision, safe='')}")
        data, _ = await self._asker.metadata(url, MAX_INFO)
        return parse_info(data, asked=self.repository)

    async def files(self, commit: str) -> tuple[RepoFile, ...]:
        """Every file at that commit, all pages. Raises ParseError, RemoteError."""
        url = self._url(f"api/models/{self.repository}/tree/{commit}?recursive=true")
        found: list[RepoFile] = []
        for _ in range(MAX_PAGES):
            data, headers = await self._asker.metadata(url, MAX_PAGE)
            found += parse_page(data, asked=self.repository)
            if len(found) > MAX_FILES:
                raise ParseError(
                    f"{self.repository} has more than {MAX_FILES} files; that is no model"
                )
            following = next_page(headers.get("Link"))
            if following is None:
                return tuple(found)
            url = target_of(url, following, failure=HubError)
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

        return await self._asker.persist(attempt)

    @contextlib.asynccontextmanager
    async def open(
        self, commit: str, file: RepoFile, at: int, length: int | None
    ) -> AsyncIterator[WireBody]:
        """Stream a file from byte `at`. One attempt: a transfer has its own patience.

        Raises SizeMismatch, ModelNotFound, RemoteError.
        """
        span = Span.of(file.size, at, length)
        path = quote(file.path, safe="/")
        url = self._places.get(path) or self._url(f"{self.repository}/resolve/{commit}/{path}")
        headers = {} if span.is_whole else {"Range": span.header}
        try:
            async with self._asker.get(url, headers, path=file.path) as response:
                if self._asker.is_elsewhere(response):
                    self._places[path] = response.url
                yield body_of(response, span, file.path)
        except RemoteError:
            # Expired, or a CDN host in trouble: the next attempt asks the hub anew.
            self._places.pop(path, None)
            raise

    def _url(self, path: str) -> URL:
        return URL(f"{self._endpoint}/{path}", encoded=True)
