"""Send one request to an engine and its answer back as it comes."""

from typing import Final

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from stoker.base.errors import EngineError
from stoker.gateway.answer import EVENT_STREAM
from stoker.gateway.blame import blame
from stoker.gateway.connection import Connection
from stoker.gateway.outgoing import Outgoing
from stoker.observe.request_id import HEADER, request_id

# RFC 9110, section 7.6.1, plus what belongs to our own connection with the client.
_NOT_FORWARDED: Final = frozenset(
    name.lower()
    for name in (
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
        "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Host", "Expect",
        "Authorization", "Cookie", "X-Api-Key", "Origin", "Referer",
        # Of files that are read by GET; llama.cpp cuts any answer to it.
        "Range",
        # What goes out is JSON and what comes back is read here.
        "Content-Type", "Content-Encoding", "Accept-Encoding",
        # llama-server goes on generating for a client that left when it sees this one.
        "X-Conversation-Id", HEADER,
    )
)  # fmt: skip
_NOT_RETURNED: Final = frozenset(
    name.lower()
    for name in (
        "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Server", "Date",
        "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", HEADER,
    )
)  # fmt: skip


async def relay(
    request: web.Request, out: Outgoing, connection: Connection, path: str, body: bytes
) -> web.StreamResponse:
    """One request and its answer.

    Raises EngineGone when the engine's side breaks, ClientGone when the client's does, EngineError
    for what cannot be translated.
    """
    headers = _without(request.headers, _NOT_FORWARDED)
    headers[hdrs.CONTENT_TYPE] = "application/json"
    headers[hdrs.ACCEPT_ENCODING] = "identity"
    headers[HEADER] = request_id.get()
    answer = await connection.send(hdrs.METH_POST, path, headers, body)
    try:
        return await _pass_on(answer, out)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        engine = out.seen.engine
        raise EngineError(
            f"{engine} said what is no answer: {error}",
            engine=engine,
            hint="its log may say more: stoker logs",
        ) from error


async def _pass_on(answer: Connection, out: Outgoing) -> web.StreamResponse:
    back = _without(answer.headers, _NOT_RETURNED)
    # What is not a stream is read before anything is sent, so that a crash can be retried.
    if answer.status >= 400 or not back.get(hdrs.CONTENT_TYPE, "").startswith(EVENT_STREAM):
        status, data = blame(answer.status, await answer.whole())
        return await out.whole(status, back, data)
    await out.begin(answer.status, back)
    while chunk := await answer.read():
        await out.write(chunk)
    return await out.finish()


def _without(
    headers: CIMultiDict[str] | CIMultiDictProxy[str], names: frozenset[str]
) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in names:
            kept.add(name, value)
    return kept
