"""What there is on Docker Hub: its repository list, since registries themselves have no search."""

import time
from dataclasses import dataclass
from typing import Final, final

import msgspec
from yarl import URL

from stoker.base.errors import ParseError, RateLimited, RegistryError
from stoker.net.redirect import target_of
from stoker.net.request import Request
from stoker.net.response import Response
from stoker.net.retry import parse_retry_after
from stoker.net.transport import Transport

NAMESPACE: Final = "ai"
"""Where Docker publishes models."""
MAX_PAGE: Final = 4 * 1024 * 1024
"""Bytes; 100 entries have some 100 KB."""
MAX_PAGES: Final = 50
_ROWS: Final = 100
"""Docker Hub's own limit for one page."""


@dataclass(frozen=True, slots=True)
class FoundRepository:
    """One hit; `name` is what a pull takes, `updated` RFC 3339."""

    name: str
    description: str
    downloads: int
    stars: int
    updated: str


class _WireRow(msgspec.Struct):
    name: str
    namespace: str = NAMESPACE
    description: str | None = None
    is_private: bool = False
    star_count: int = 0
    pull_count: int = 0
    last_updated: str | None = None


class _WirePage(msgspec.Struct):
    results: list[_WireRow]
    next: str | None = None


@final
class Catalogue:
    """Models on Docker Hub. Made by `RegistryClient`; needs no closing."""

    def __init__(self, transport: Transport, base: URL) -> None:
        self._transport = transport
        self._base = base

    async def search(self, term: str, *, limit: int) -> tuple[FoundRepository, ...]:
        """Repositories with this term in their name or description, the most pulled first.

        Docker Hub cannot search within a namespace: the list is read page by page until there are
        `limit` hits. Raises RateLimited, Unreachable, Denied, RegistryError, ParseError.
        """
        wanted = term.strip().casefold()
        # Few of many will fit a term: the pages may as well be long.
        rows = _ROWS if wanted else min(limit, _ROWS)
        query = {"page_size": str(rows), "ordering": "-pull_count"}
        url = self._base / "v2/repositories" / NAMESPACE / ""
        url = url.with_query(query)
        found: list[FoundRepository] = []
        for _ in range(MAX_PAGES):
            page = await self._page(url)
            found += [_found(row) for row in page.results if _fits(row, wanted)]
            if not page.next or len(found) >= limit:
                break
            url = target_of(url, page.next, failure=RegistryError)
        return tuple(sorted(found, key=lambda hit: -hit.downloads)[:limit])

    async def _page(self, url: URL) -> _WirePage:
        request = Request("GET", url, {"Accept": "application/json"})
        # Following pages are where the answer says; that must not be within our own network.
        fence = await self._transport.fence_of(self._base)
        async with self._transport.send(request, fence=fence) as response:
            if response.status != 200:
                raise _refusal(response)
            data = await response.read(MAX_PAGE)
        try:
            return msgspec.json.decode(data, type=_WirePage)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ParseError(f"the repository list of {response.host}: {error}") from error


def _refusal(response: Response) -> RateLimited | RegistryError:
    host = response.host
    if response.status == 429:
        return RateLimited(
            f"{host} limits how often it may be asked",
            origin=host,
            retry_after=parse_retry_after(response.headers.get("Retry-After"), now=time.time()),
            hint="wait a little and try again",
        )
    return RegistryError(
        f"{host} answered with status {response.status}", origin=host, status=response.status
    )


def _fits(row: _WireRow, wanted: str) -> bool:
    text = f"{row.name}\n{row.description or ''}".casefold()
    return not row.is_private and wanted in text


def _found(row: _WireRow) -> FoundRepository:
    return FoundRepository(
        name=f"{row.namespace}/{row.name}",
        description=row.description or "",
        downloads=row.pull_count,
        stars=row.star_count,
        updated=row.last_updated or "",
    )
