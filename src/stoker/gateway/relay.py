"""Send one request to an engine and stream its answer back, byte for byte."""

from typing import Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from stoker.gateway.rename import Rename

# RFC 9110, section 7.6.1, plus what belongs to our own connection with the client.
_NOT_FORWARDED: Final = frozenset(
    name.lower()
    for name in (
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
        "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Host", "Expect",
        "Authorization", "Cookie", "X-Api-Key", "Origin", "Referer",
        # llama-server goes on generating for a client that left when it sees this one.
        "X-Conversation-Id",
    )
)  # fmt: skip
_NOT_RETURNED: Final = frozenset(
    name.lower()
    for name in (
        "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Server", "Date",
        "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
    )
)  # fmt: skip


class EngineGone(Exception):
    """The engine's connection broke. `response`: what the client has begun to receive."""

    def __init__(self, response: web.StreamResponse | None = None) -> None:
        super().__init__("the engine closed the connection")
        self.response = response


async def relay(
    request: web.Request,
    session: aiohttp.ClientSession,
    path: str,
    body: bytes,
    rename: Rename | None,
) -> web.StreamResponse:
    """One request and its answer. Being cancelled closes the upstream, which stops generation.

    Raises EngineGone when the engine's side breaks.
    """
    headers = _without(request.headers, _NOT_FORWARDED)
    try:
        async with session.post(f"http://localhost{path}", data=body, headers=headers) as answer:
            if hdrs.CONTENT_LENGTH in answer.headers:
                return await _whole(answer, rename)
            return await _stream(request, answer, rename)
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise EngineGone from error


async def _whole(answer: aiohttp.ClientResponse, rename: Rename | None) -> web.Response:
    """An answer of known length: read before anything is sent, so that a crash can be retried."""
    data = await answer.read()
    if rename:
        data = rename.feed(data) + rename.flush()
    return web.Response(
        status=answer.status, body=data, headers=_without(answer.headers, _NOT_RETURNED)
    )


async def _stream(
    request: web.Request, answer: aiohttp.ClientResponse, rename: Rename | None
) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status, headers=_without(answer.headers, _NOT_RETURNED)
    )
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            data = rename.feed(chunk) if rename else chunk
            if data:
                await response.write(data)
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise EngineGone(response) from error
    if rename and (rest := rename.flush()):
        await response.write(rest)
    await response.write_eof()
    return response


def _without(headers: CIMultiDictProxy[str], names: frozenset[str]) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in names:
            kept.add(name, value)
    return kept
