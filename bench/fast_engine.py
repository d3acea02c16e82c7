"""A stand-in for llama-server that costs nothing: ready-made bytes, as fast as a socket takes them.

    python bench/fast_engine.py --host engine.sock | --port 8000

What it answers is chosen by the message: "flood 20000" is a stream of so many events in one burst,
"idle" a stream that says one word and then nothing, anything else one short answer.
"""

import argparse
import asyncio
import json
import re
import sys
from functools import cache
from typing import Any, Final, cast

import uvloop

_EVENT: Final = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" word"}}],'
    b'"created":1763700000,"id":"chatcmpl-JKq0fSgPdXHb8lyLWKYyJ5DxPVvCgbGA","model":"pilot",'
    b'"system_fingerprint":"b11549","object":"chat.completion.chunk"}\n\n'
)
_ANSWER: Final = json.dumps(
    {
        "choices": [
            {
                "finish_reason": "stop",
                "index": 0,
                "message": {"role": "assistant", "content": "It runs models on your machine."},
            }
        ],
        "created": 1763700000,
        "model": "pilot",
        "object": "chat.completion",
        "usage": {"completion_tokens": 8, "prompt_tokens": 21, "total_tokens": 29},
        "id": "chatcmpl-JKq0fSgPdXHb8lyLWKYyJ5DxPVvCgbGA",
    }
).encode()


def _whole(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_SHORT: Final = _whole(_ANSWER)
_HEALTHY: Final = _whole(b'{"status":"ok"}')
_IDLE: Final = _STREAM + _chunk(_EVENT)


@cache
def _flood(events: int) -> bytes:
    return _STREAM + _chunk(_EVENT) * events + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client; requests with a body of known length, one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            _, found, length = head.partition(b"content-length:")
            size = int(length.split(b"\r\n")[0]) if found else 0
            if len(self._read) < end + 4 + size:
                return
            body = self._read[end + 4 : end + 4 + size]
            self._read = self._read[end + 4 + size :]
            self._transport.write(_answer(body) if size else _HEALTHY)


def _answer(body: bytes) -> bytes:
    if flood := re.search(rb'"flood (\d+)"', body):
        return _flood(int(flood[1]))
    return _IDLE if b'"idle"' in body else _SHORT


async def _serve(options: Any) -> None:
    loop = asyncio.get_running_loop()
    if options.port:
        server = await loop.create_server(Connection, "127.0.0.1", options.port)
    else:
        server = await loop.create_unix_server(Connection, options.host)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed. Flags of llama-server that say nothing here are ignored."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--list-devices", action="store_true")
    options, _ = parser.parse_known_args()
    if options.version or options.list_devices:
        sys.exit()
    uvloop.run(_serve(options))


if __name__ == "__main__":
    main()
