"""`GET /search?q=&limit=&source=`: models on Docker Hub and Hugging Face."""

from collections.abc import Iterator
from typing import final

from aiohttp import web

from stoker.api.views import json_response
from stoker.base.errors import UserError
from stoker.distribution.search import Searcher
from stoker.wire.search import DEFAULT_LIMIT, MAX_LIMIT, sources_of


@final
class SearchRoutes:
    """The one route. All parameters may be left out."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/search", self.search)

    async def search(self, request: web.Request) -> web.StreamResponse:
        """What there is. 400 for a source or a limit that is none, 502 when no source answers."""
        query = request.query
        answer = await self._searcher(
            query.get("q", ""),
            limit=_limit(query.get("limit", "")),
            sources=sources_of(query.get("source", "")),
        )
        return json_response(answer)


def _limit(text: str) -> int:
    """As in Docker Model Runner, nothing, zero and less mean the usual number."""
    if not text:
        return DEFAULT_LIMIT
    try:
        limit = int(text)
    except ValueError:
        raise UserError(f"limit is no number: {text[:40]!a}") from None
    return min(limit, MAX_LIMIT) if limit > 0 else DEFAULT_LIMIT
