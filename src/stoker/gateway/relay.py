"""Send one request to an engine and its answer back as it comes."""

from typing import Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from stoker.gateway.answer import EVENT_STREAM
from stoker.gateway.blame import blame
from stoker.gateway.outgoing import Outgoing

# RFC 9110, section 7.6.1, plus what belongs to our own connection with the client.
_NOT_FORWARDED: Final = frozenset(
    name.lower()
    for name in (
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
        "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Host", "Expect",
        "Authorization", "Cookie", "X-Api-Key", "Origin", "Referer",
        # What goes out is JSON and what comes back is read here.
        "Content-Type", "Content-Encoding", "Accept-Encoding",
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
    """The engine's connection broke."""


async def relay(
    request: web.Request, out: Outgoing, session: aiohttp.ClientSession, path: str, body: bytes
) -> web.StreamResponse:
    """One request and its answer. Being cancelled closes the upstream, which stops generation.

    Raises EngineGone when the engine's side breaks, ClientGone when the client's does.
    """
    headers = _without(request.headers, _NOT_FORWARDED)
    headers[hdrs.CONTENT_TYPE] = "application/json"
    headers[hdrs.ACCEPT_ENCODING] = "identity"
    try:
        async with session.post(f"http://localhost{path}", data=body, headers=headers) as answer:
            back = _without(answer.headers, _NOT_RETURNED)
            # What is not a stream is read before anything is sent, so that a crash can be retried.
            if answer.status >= 400 or answer.content_type != EVENT_STREAM:
                status, data = blame(answer.status, await answer.read())
                return await out.whole(status, back, data)
            await out.begin(answer.status, back)
            async for chunk in answer.content.iter_any():
                await out.write(chunk)
            return await out.finish()
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise EngineGone from error


def _without(headers: CIMultiDictProxy[str], names: frozenset[str]) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in names:
            kept.add(name, value)
    return kept
