"""One API host of a registry: builds its URLs and signs requests to it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final, final

from yarl import URL

from stoker.base.errors import StokerError
from stoker.registry.failures import MAX_ERROR_BODY, answer_error
from stoker.registry.http import Request, Response, Transport
from stoker.registry.network import Reach


@final
class Endpoint:
    """`https://host/v2/` and everything below."""

    def __init__(self, transport: Transport, base: URL) -> None:
        self._transport = transport
        self.base: Final = base

    @property
    def host(self) -> str:
        """What errors call it."""
        return self.base.authority

    def url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """The URL of `/v2/<path>`; path parts were checked when their reference was parsed."""
        url = self.base.join(URL(f"/v2/{path}", encoded=True))
        return url.with_query(query) if query else url

    @contextlib.asynccontextmanager
    async def send(
        self, request: Request, *, within: Reach | None = None
    ) -> AsyncIterator[Response]:
        """Send with what the registry wants to see; any status comes back."""
        async with self._transport.send(request, within=within) as response:
            yield response


async def failure_of(response: Response, *, action: str, reference: str) -> StokerError:
    """Read an unwanted answer and say what it means."""
    return answer_error(
        status=response.status,
        body=await response.read_some(MAX_ERROR_BODY),
        retry_after=response.headers.get("Retry-After"),
        host=response.host,
        action=action,
        reference=reference,
    )
