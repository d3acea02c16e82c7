"""Connections to engines, against servers that send exactly these bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from multidict import CIMultiDict

from stoker.gateway.connection import Connection, EngineGone
from stoker.gateway.upstream import Upstreams

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;extension\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
UNTIL_CLOSED = b"HTTP/1.0 200 OK\r\n\r\nhello"
CONTINUED = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + WHOLE

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def engine(folder: Path, serve: Serve) -> AsyncIterator[Path]:
    """A server on a unix socket; `serve` has each connection to itself."""
    path = folder / "engine.sock"

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(connected, path)
    try:
        yield path
    finally:
        server.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    """The next request; nothing when the client has closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def ask(upstreams: Upstreams, socket: Path, body: bytes = b"{}") -> tuple[Connection, bytes]:
    connection = await upstreams.take(socket)
    try:
        await connection.send("POST", "/v1/x", CIMultiDict({"A": "b"}), body)
        return connection, await connection.whole()
    finally:
        upstreams.back(socket, connection)


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED, UNTIL_CLOSED, CONTINUED])
@pytest.mark.parametrize("pieces", [1, 7, 10_000])
async def test_an_answer_however_it_is_cut(tmp_path: Path, answer: bytes, pieces: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await request(reader) == (
            b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nA: b\r\n\r\n{}"
        )
        for at in range(0, len(answer), pieces):
            writer.write(answer[at : at + pieces])
            await writer.drain()
            await asyncio.sleep(0)

    async with engine(tmp_path, serve) as socket, Upstreams() as upstreams:
        connection, body = await ask(upstreams, socket)
        assert (connection.status, body) == (200, b"hello")
        assert connection.headers.getall("X-A", []) in ([], ["1", "2"])
        assert "A" not in connection.headers


async def test_connections_are_used_again(tmp_path: Path) -> None:
    served: list[int] = []
    all_closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = 0
        while await request(reader):
            count += 1
            writer.write(WHOLE)
        served.append(count)
        if sum(served) == 7:
            all_closed.set()

    async with engine(tmp_path, serve) as socket:
        async with Upstreams() as upstreams:
            for _ in range(3):
                assert (await ask(upstreams, socket))[1] == b"hello"
            await asyncio.gather(*(ask(upstreams, socket) for _ in range(2)))
            # Headers are enough for some; what they left unread does not reach the next one.
            async with upstreams.get(socket, "/health") as answer:
                assert answer.status == 200
            assert (await ask(upstreams, socket))[1] == b"hello"
        await asyncio.wait_for(all_closed.wait(), 5)
        assert len(served) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"\x00\x01 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_said(tmp_path: Path, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        await writer.drain()

    async with engine(tmp_path, serve) as socket, Upstreams() as upstreams:
        for _ in range(2):
            with pytest.raises(EngineGone):
                await ask(upstreams, socket)


async def test_nobody_listens(tmp_path: Path) -> None:
    async with Upstreams() as upstreams:
        with pytest.raises(EngineGone):
            await upstreams.take(tmp_path / "nothing.sock")


async def test_what_nobody_asked_for_ends_a_connection(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await request(reader):
            writer.write(WHOLE)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(WHOLE)

    async with engine(tmp_path, serve) as socket, Upstreams() as upstreams:
        first, _ = await ask(upstreams, socket)
        for _ in range(500):
            if not first.idle:
                break
            await asyncio.sleep(0.01)
        second, body = await ask(upstreams, socket)
        assert second is not first
        assert body == b"hello"


async def test_a_slow_reader_holds_its_engine_back(tmp_path: Path) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with engine(tmp_path, serve) as socket, Upstreams() as upstreams:
        connection = await upstreams.take(socket)
        await connection.send("POST", "/v1/x", CIMultiDict(), b"")
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 5_000_000
        assert len(await connection.whole()) == 100_000_000
        upstreams.back(socket, connection)


async def test_whoever_leaves_in_the_middle_is_noticed(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert not await reader.read(1)
        gone.set()

    async with engine(tmp_path, serve) as socket, Upstreams() as upstreams:
        connection = await upstreams.take(socket)
        await connection.send("POST", "/v1/x", CIMultiDict(), b"")
        assert await connection.read() == b"hello"
        upstreams.back(socket, connection)
        await asyncio.wait_for(gone.wait(), 5)
