"""`GET /logs`: the service's and the engines' logs, merged by time."""

import asyncio
import heapq
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import hdrs, web

from stoker.api.query import reads
from stoker.base.errors import NotFound, UserError

# What a person can still scroll through; the files hold more.
_TAIL_BYTES: Final = 4 * 1024 * 1024
_PIECE: Final = 64 * 1024
_POLL_SECONDS: Final = 0.25


class LogsQuery(msgspec.Struct, rename="kebab"):
    """`backend`: only what that engine wrote; `audit`: another log."""

    follow: bool = False
    no_engines: bool = False
    backend: str = ""
    audit: bool = False


class LogRoutes:
    """Reads the log files that `observe` writes; `engines` has one for each engine's name.

    `settle` writes what is held back.
    """

    def __init__(
        self,
        service: Path,
        engines: Mapping[str, Path],
        audit: Path,
        settle: Callable[[], None],
    ) -> None:
        self._audit = audit
        self._service = service
        self._engines = engines
        self._settle = settle

    def routes(self) -> Iterator[web.AbstractRouteDef]:
        """The table."""
        yield web.get("/logs", self.logs)

    @reads(LogsQuery)
    async def logs(self, request: web.Request, query: LogsQuery) -> web.StreamResponse:
        """Plain text; `?follow=true` goes on until the client leaves.

        `?no-engines=true` leaves out what engines wrote, `?backend=NAME` all but one engine.
        `?audit=true` is another log: who changed what.
        """
        files = self._files(query)
        response = web.StreamResponse()
        response.content_type = "text/plain"
        response.charset = "utf-8"
        if request.method == hdrs.METH_HEAD:  # else what is written would be its body
            return response
        await response.prepare(request)
        self._settle()
        tails = [_Tail(path) for path in files]
        while True:
            for piece in _pieces(merged(tail.read() for tail in tails)):
                await response.write(piece)
            if not query.follow:
                break
            await asyncio.sleep(_POLL_SECONDS)
        await response.write_eof()
        return response

    def _files(self, query: LogsQuery) -> list[Path]:
        """Those that are asked for. Raises UserError, NotFound for an unknown engine."""
        backend = query.backend
        if query.audit:
            return [self._audit]
        if not backend:
            return [self._service, *(() if query.no_engines else self._engines.values())]
        if query.no_engines:
            raise UserError("backend and no-engines leave nothing over", hint="give one of them")
        if backend not in self._engines:
            known = ", ".join(self._engines)
            raise NotFound("backend not found", hint=f"known backends: {known}")
        return [self._engines[backend]]


# A line of text, or of JSON: see observe/lines.
_TIME: Final = re.compile(rb'(?:\[|\{"time":")(\d{4}-[^]"]+Z)')


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines put together for writing. All at once, they would weigh as much as the daemon."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def merged(sources: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Lines of several logs in the order of their time stamps.

    A line without a stamp belongs to the one before it and stays behind it.
    """
    yield from (line for _, line in heapq.merge(*map(_stamped, sources), key=_stamp))


def _stamped(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    stamp = b""
    for line in lines:
        if found := _TIME.match(line):
            stamp = found[1]
        yield stamp, line


def _stamp(pair: tuple[bytes, bytes]) -> bytes:
    return pair[0]


class _Tail:
    """Complete lines that were appended to a file since the last look; survives rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0

    def read(self) -> Iterable[bytes]:
        try:
            with self._path.open("rb") as file:
                info = os.fstat(file.fileno())  # not of its successor
                if info.st_ino != self._inode or info.st_size < self._offset:
                    first_look = self._inode == 0
                    self._inode = info.st_ino
                    self._offset = max(0, info.st_size - _TAIL_BYTES) if first_look else 0
                file.seek(self._offset)
                data = file.read(_TAIL_BYTES)
        except FileNotFoundError:
            return ()
        end = data.rfind(b"\n") + 1
        self._offset += end
        return io.BytesIO(data[:end])
