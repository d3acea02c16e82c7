"""What every Source and Sink must do. A test class inherits it and makes the pair."""

import asyncio
import hashlib
from typing import Protocol

import pytest

from stoker.base.errors import DigestMismatch, ModelNotFound, SizeMismatch
from stoker.oci.content import Sink, Source
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest

DATA = bytes(range(256)) * 64


class Content(Source, Sink, Protocol):
    """Both in one, over the same content."""


async def put(sink: Sink, data: bytes, *, chunk: int = 1000) -> Descriptor:
    descriptor = Descriptor.of(data, "application/octet-stream")
    async with sink.ingest(descriptor) as into:
        for position in range(into.offset, len(data), chunk):
            await into.write(data[position : position + chunk])
        await into.commit()
    return descriptor


async def read(
    source: Source, descriptor: Descriptor, *, at: int = 0, length: int | None = None
) -> bytes:
    async with source.open(descriptor, at=at, length=length) as body:
        assert body.offset == at
        return b"".join([chunk async for chunk in body])


class ContentSuite:
    """Inherit, and override `content`."""

    @pytest.fixture
    def content(self) -> Content:
        raise NotImplementedError

    @pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, len(DATA)])
    async def test_what_goes_in_comes_out(self, content: Content, size: int) -> None:
        descriptor = await put(content, DATA[:size])
        assert await content.exists(descriptor)
        assert await read(content, descriptor) == DATA[:size]

    async def test_reads_a_part(self, content: Content) -> None:
        descriptor = await put(content, DATA)
        assert await read(content, descriptor, at=5) == DATA[5:]
        assert await read(content, descriptor, at=5, length=10) == DATA[5:15]
        assert await read(content, descriptor, at=len(DATA) - 3, length=10) == DATA[-3:]

    async def test_is_invisible_before_the_commit(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        async with content.ingest(descriptor) as into:
            await into.write(DATA)
            assert not await content.exists(descriptor)
            await into.commit()
            assert await content.exists(descriptor)

    async def test_resumes_where_it_was_left(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        async with content.ingest(descriptor) as into:
            assert into.offset == 0
            await into.write(DATA[:3000])
            assert into.offset == 3000
        async with content.ingest(descriptor) as into:
            assert into.offset == 3000
            await into.write(DATA[3000:])
            await into.commit()
        assert await read(content, descriptor) == DATA

    async def test_restarts(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        async with content.ingest(descriptor) as into:
            await into.write(b"wrong")
            await into.restart()
            assert into.offset == 0
            await into.write(DATA)
            await into.commit()
        assert await read(content, descriptor) == DATA

    async def test_refuses_wrong_content_and_forgets_it(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        async with content.ingest(descriptor) as into:
            await into.write(b"?" + DATA[1:])
            with pytest.raises(DigestMismatch):
                await into.commit()
            assert into.offset == 0
        assert not await content.exists(descriptor)
        await put(content, DATA)

    async def test_refuses_too_many_bytes(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        async with content.ingest(descriptor) as into:
            with pytest.raises(SizeMismatch):
                await into.write(DATA + b"!")
        assert not await content.exists(descriptor)

    async def test_refuses_too_few_bytes_and_keeps_them(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        async with content.ingest(descriptor) as into:
            await into.write(DATA[:-1])
            with pytest.raises(SizeMismatch):
                await into.commit()
            await into.write(DATA[-1:])
            await into.commit()
        assert await content.exists(descriptor)

    async def test_the_right_digest_with_the_wrong_size_is_not_there(
        self, content: Content
    ) -> None:
        descriptor = await put(content, DATA)
        lie = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size + 1)
        assert not await content.exists(lie)

    async def test_knows_sha512(self, content: Content) -> None:
        digest = Digest(f"sha512:{hashlib.sha512(DATA).hexdigest()}")
        descriptor = Descriptor("application/octet-stream", digest, len(DATA))
        async with content.ingest(descriptor) as into:
            await into.write(DATA)
            await into.commit()
        assert await read(content, descriptor) == DATA

    async def test_a_cancelled_writer_leaves_a_resumable_part(self, content: Content) -> None:
        descriptor = Descriptor.of(DATA, "application/octet-stream")
        written = asyncio.Event()

        async def write() -> None:
            async with content.ingest(descriptor) as into:
                await into.write(DATA[:4000])
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with content.ingest(descriptor) as into:
            assert into.offset == 4000

    async def test_an_unknown_name_is_not_found(self, content: Content) -> None:
        with pytest.raises(ModelNotFound):
            await content.resolve("docker.io/ai/nothing:latest")
