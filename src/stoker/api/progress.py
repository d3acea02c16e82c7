"""Progress of a transfer as the JSON lines that Docker's clients read."""

import html
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import msgspec
from aiohttp import web

from stoker.api.audit import FAILED
from stoker.base.errors import StokerError
from stoker.wire.manage import Progress


class Transfer(Protocol):
    """A transfer that runs in the daemon and may have several followers."""

    def follow(self) -> AsyncGenerator[Progress]:
        """Its progress from now on, ending with `success`. Raises what the transfer failed with."""
        ...


async def stream_progress(request: web.Request, transfer: Transfer) -> web.StreamResponse:
    """Follow a transfer to its end.

    An error before the first line is an ordinary error answer, later it is the last line. Unless
    the client asks for exactly `application/json`, lines are HTML-escaped `text/plain`: what
    Docker's own CLI sends for and undoes.
    """
    as_json = request.headers.get("Accept") == "application/json"
    response: web.StreamResponse | None = None
    try:
        async with aclosing(transfer.follow()) as lines:
            async for line in lines:
                if response is None:
                    response = await _begin(request, as_json=as_json)
                await response.write(_encode(line, as_json=as_json))
    except StokerError as error:
        if response is None:
            raise
        request[FAILED] = error
        hint = error.hint or msgspec.UNSET
        failed = Progress("error", f"Error: {error.message}", code=error.code, hint=hint)
        await response.write(_encode(failed, as_json=as_json))
    if response is None:
        response = await _begin(request, as_json=as_json)
    await response.write_eof()
    return response


async def _begin(request: web.Request, *, as_json: bool) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
    response.content_type = "application/json" if as_json else "text/plain"
    response.charset = None if as_json else "utf-8"
    await response.prepare(request)
    return response


def _encode(line: Progress, *, as_json: bool) -> bytes:
    data = msgspec.json.encode(line)
    if not as_json:
        escaped = html.escape(data.decode()).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
        data = escaped.encode()
    return data + b"\n"
