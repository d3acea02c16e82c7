"""Archives on their way here: broken off, gone on with, changed meanwhile, on real sockets."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from stoker.base.errors import DigestMismatch, InvalidSetting, ParseError, RemoteError, Unreachable
from stoker.engines.releases import Release, archive_of, fetch, parse_release
from stoker.net.options import NetOptions
from stoker.net.retry import ONCE

CONTENT = bytes(range(256)) * 4096
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
OPTIONS = NetOptions(retry=ONCE)


class Server:
    """Serves CONTENT; `cut` ends each answer after so many bytes, `ranges` False ignores Range."""

    def __init__(self) -> None:
        self.cut: int | None = None
        self.ranges = True
        self.content = CONTENT
        self.asked: list[str] = []
        self.address = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        size = len(self.content)
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        if start >= size:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers = {"Content-Length": str(size - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        end = size if self.cut is None else start + self.cut
        await response.write(self.content[start:end])
        if self.cut is not None and request.transport:
            # What a client has not read yet when its connection breaks, it never sees.
            await asyncio.sleep(0.5)
            request.transport.close()
        return response

    def release(self, digest: str = DIGEST) -> Release:
        return parse_release(f"{self.address}/llama.tar.gz", digest)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/llama.tar.gz", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield
    finally:
        await runner.cleanup()


async def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    server, said = Server(), list[int | None]()
    async with serving(server):
        release = server.release()
        server.cut = 300_000
        with pytest.raises(Unreachable):
            await fetch(release, tmp_path, OPTIONS, said.append)
        server.cut = None
        await fetch(release, tmp_path, OPTIONS, said.append)
        assert archive_of(release, tmp_path).read_bytes() == CONTENT
        await fetch(release, tmp_path, OPTIONS, said.append)
    start = int(server.asked[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 300_000
    assert len(server.asked) == 2
    assert said[0] is None
    assert max(share for share in said if share is not None) == 99


@pytest.mark.parametrize("ranges", [True, False])
async def test_what_cannot_be_gone_on_with_begins_anew(tmp_path: Path, ranges: bool) -> None:  # noqa: FBT001
    server = Server()
    server.ranges = ranges
    async with serving(server):
        release = server.release()
        archive = archive_of(release, tmp_path)
        archive.parent.mkdir(parents=True)
        # Longer than the whole: of another file once at this address.
        archive.with_suffix(".part").write_bytes(b"x" * (len(CONTENT) + 5))
        await fetch(release, tmp_path, OPTIONS, lambda _share: None)
        assert archive.read_bytes() == CONTENT


async def test_a_wrong_archive_does_not_stay(tmp_path: Path) -> None:
    server = Server()
    server.content = CONTENT[::-1]
    async with serving(server):
        release = server.release()
        with pytest.raises(DigestMismatch, match=r"llama\.tar\.gz is not what the digest says"):
            await fetch(release, tmp_path, OPTIONS, lambda _share: None)
        assert not archive_of(release, tmp_path).exists()
        server.content = CONTENT
        await fetch(release, tmp_path, OPTIONS, lambda _share: None)


async def test_a_cancelled_download_is_kept_for_later(tmp_path: Path) -> None:
    server = Server()
    begun = asyncio.Event()
    async with serving(server):
        release = server.release()
        task = asyncio.create_task(fetch(release, tmp_path, OPTIONS, lambda _share: begun.set()))
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await fetch(release, tmp_path, OPTIONS, lambda _share: None)
        assert archive_of(release, tmp_path).read_bytes() == CONTENT


async def test_no_such_file(tmp_path: Path) -> None:
    server = Server()
    async with serving(server):
        release = parse_release(f"{server.address}/other", DIGEST)
        with pytest.raises(RemoteError, match="answers 404 for /other"):
            await fetch(release, tmp_path, OPTIONS, lambda _share: None)


@pytest.mark.parametrize("address", ["ftp://x/y", "x.tar.gz", "http://", "http://[::1", ""])
def test_addresses_of_nothing(address: str) -> None:
    with pytest.raises(InvalidSetting, match="is no address"):
        parse_release(address, DIGEST)


def test_a_digest_is_needed() -> None:
    with pytest.raises(InvalidSetting, match="needs --digest"):
        parse_release("https://x/y", "")
    with pytest.raises(ParseError, match="not a digest"):
        parse_release("https://x/y", "md5:1")
