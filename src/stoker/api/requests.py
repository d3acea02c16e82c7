"""`/engines/requests`: the last requests and answers of each model, for debugging.

Nothing is kept unless the operator asks for it (`record_requests`): prompts are nobody's business.
"""

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

import msgspec
from aiohttp import hdrs, web

from stoker.api.errors import status_of
from stoker.api.query import reads
from stoker.api.views import json_response
from stoker.gateway.exchange import MAX_RECORDED, Exchange
from stoker.library import Library
from stoker.wire.chat_stream import whole_chat
from stoker.wire.requests import Record, Recorded

_PER_MODEL: Final = 10
_MODELS: Final = 32
_MEDIA: Final = re.compile(r"(;base64,[A-Za-z0-9+/=]{100})([A-Za-z0-9+/=]+)")
_WAITING: Final = 100
"""Records a slow follower may be behind; later ones are dropped for it."""


class RequestsQuery(msgspec.Struct):
    """`include_existing`: a stream begins with those that are kept."""

    model: str = ""
    include_existing: bool = False


class RequestRoutes:
    """Keeps and shows records. `enabled` is the operator's wish."""

    def __init__(self, library: Library, *, enabled: bool) -> None:
        self._library = library
        self._enabled = enabled
        self._kept: OrderedDict[str, deque[Record]] = OrderedDict()
        # To each follower's queue the id of the model it wants, None for all.
        self._followers: dict[asyncio.Queue[bytes], str | None] = {}

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/engines/requests", self.requests)

    def note(self, seen: Exchange) -> None:
        """Keep a request that is over."""
        if not self._enabled or not seen.model:
            return
        now = time.time()
        status = seen.status if seen.error is None else status_of(seen.error)
        answer = _readable(bytes(seen.recorded or b""))
        failed = str(seen.error) if seen.error else (answer if status >= 400 else "")
        record = Record(
            id=f"{seen.model}_{time.time_ns()}",
            model=seen.call.model,
            method="POST",
            url=seen.call.operation.path,
            request=_without_media(seen.call.body)[:MAX_RECORDED],
            response="" if failed else answer,
            error=failed,
            timestamp=int(now),
            status_code=status or 408,  # the client left
        )
        ring = self._kept.setdefault(seen.model, deque(maxlen=_PER_MODEL))
        self._kept.move_to_end(seen.model)
        ring.append(record)
        while len(self._kept) > _MODELS:
            self._kept.popitem(last=False)
        event = _event("new_request", [_records(seen.call.model, [record])])
        for queue, wanted in self._followers.items():
            if wanted in {None, seen.model} and not queue.full():
                queue.put_nowait(event)

    @reads(RequestsQuery)
    async def requests(self, request: web.Request, query: RequestsQuery) -> web.StreamResponse:
        """All records, or those of `?model=`; as they come with `Accept: text/event-stream`."""
        wanted = self._library.find(query.model).id if query.model else None
        kept = {m: list(ring) for m, ring in self._kept.items() if wanted in {None, m}}
        if request.headers.get("Accept") != "text/event-stream":
            return json_response([_records(model, ring) for model, ring in kept.items()])
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        if request.method == hdrs.METH_HEAD:  # else what is written would be its body
            return response
        queue: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._followers[queue] = wanted
        try:
            await response.prepare(request)
            if query.include_existing:
                for model, ring in kept.items():
                    for record in ring:
                        await response.write(
                            _event("existing_request", [_records(model, [record])])
                        )
            await response.write(_event("connected", {"status": "connected"}))
            while True:
                await response.write(await queue.get())
        finally:
            del self._followers[queue]


def _records(model: str, records: list[Record]) -> Recorded:
    return Recorded(len(records), model, {}, records)


def _event(name: str, value: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + msgspec.json.encode(value) + b"\n\n"


def _readable(answer: bytes) -> str:
    """A streamed chat as one object, as if it had not been streamed; all else as it was sent."""
    whole = whole_chat(answer) if answer.startswith(b"data:") else None
    return (whole or answer).decode(errors="replace")


def _without_media(body: bytes) -> str:
    """Pictures and the like are cut: a megabyte of base64 tells nobody anything."""
    text = body.decode(errors="replace")
    return _MEDIA.sub(lambda m: f"{m[1]}...[truncated {len(m[2])} chars]", text)
