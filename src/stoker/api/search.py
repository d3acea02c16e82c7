"""`GET /search?q=&limit=&source=`: models on Docker Hub and Hugging Face."""

from collections.abc import Iterator
from typing import final

import msgspec
from aiohttp import web

from stoker.api.query import reads
from stoker.api.views import json_response
from stoker.distribution.search import Searcher
from stoker.wire.search import DEFAULT_LIMIT, MAX_LIMIT, sources_of


class SearchQuery(msgspec.Struct):
    """`source`: see `sources_of`."""

    q: str = ""
    limit: int = DEFAULT_LIMIT
    source: str = "all"


@final
class SearchRoutes:
    """The one route. All parameters may be left out."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/search", self.search)

    @reads(SearchQuery)
    async def search(self, request: web.Request, query: SearchQuery) -> web.StreamResponse:
        """What there is. 400 for a source or a limit that is none, 502 when no source answers."""
        del request
        # As in Docker Model Runner, zero and less mean the usual number.
        limit = min(query.limit, MAX_LIMIT) if query.limit > 0 else DEFAULT_LIMIT
        answer = await self._searcher(query.q, limit=limit, sources=sources_of(query.source))
        return json_response(answer)
