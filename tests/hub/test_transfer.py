"""A hub's model into a real store: resume, verification, ranges."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from stoker.base.errors import DigestMismatch, HubError, SizeMismatch, StokerError
from stoker.hub import HubClient
from stoker.hub.source import HubSource
from stoker.oci.manifest import Manifest, parse_manifest
from stoker.store import Store
from stoker.transfer import Cut as Pieces
from stoker.transfer import Patience, copy
from tests.components.hub import Answer, Cut, Fault, HubServer, IgnoreRange, Replace
from tests.hub.conftest import read

QUICK = Patience(attempts=6, base=0.0, cap=0.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "models")


@pytest.fixture
async def listed(hub: HubClient, server: HubServer, name: str, gguf: bytes) -> HubSource:
    """A repository of one file."""
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    return await hub.repository(name)


async def manifest_of(source: HubSource) -> Manifest:
    return parse_manifest((await read(source, await source.resolve()))[1])


async def pulled(source: HubSource, store: Store, *, pieces: int = 1 << 40) -> Manifest:
    cut = Pieces(from_size=pieces)
    return await copy(source, store.blobs, await source.resolve(), patience=QUICK, cut=cut)


async def in_store(store: Store, manifest: Manifest) -> list[bytes]:
    return [(await read(store.blobs, layer))[1] for layer in manifest.layers]


async def test_a_broken_line_is_taken_up_again(
    hub: HubClient, server: HubServer, name: str, gguf: bytes, store: Store
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf, "LICENSE": b"yes"})
    source = await hub.repository(name)
    await source.resolve()
    server.seen.clear()
    server.on("/blobs/", Cut(100_000), server="cdn")
    server.on("/blobs/", Cut(50_000), server="cdn")
    server.on("/resolve/", Answer(503))
    manifest = await pulled(source, store)
    assert await in_store(store, manifest) == [gguf, b"yes"]
    asked = [s.headers.get("range") for s in server.seen if s.server == "cdn"]
    assert asked == [None, "bytes=100000-", "bytes=150000-"]


async def test_a_later_pull_takes_up_what_is_there(
    hub: HubClient, server: HubServer, name: str, gguf: bytes, store: Store
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    source = await hub.repository(name)
    await source.resolve()
    server.on("/blobs/", Cut(100_000), server="cdn")
    server.on("/blobs/", Answer(500), times=6, server="cdn")
    with pytest.raises(HubError, match="status 500"):
        await pulled(source, store)
    server.seen.clear()
    again = await hub.repository(name)
    assert await in_store(store, await pulled(again, store)) == [gguf]
    asked = [s.headers.get("range") for s in server.seen if s.server == "cdn"]
    assert asked[-1] == "bytes=100000-"


async def test_a_server_without_ranges(
    hub: HubClient, server: HubServer, name: str, gguf: bytes, store: Store
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    server.on("/blobs/", IgnoreRange(), times=9, server="cdn")
    source = await hub.repository(name)
    (layer,) = (await manifest_of(source)).layers
    assert await read(source, layer, at=1000) == (0, gguf)
    server.on("/blobs/", Cut(1000), server="cdn")
    assert await in_store(store, await pulled(source, store)) == [gguf]


async def test_large_files_come_in_pieces(
    hub: HubClient, server: HubServer, name: str, gguf: bytes, store: Store
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    source = await hub.repository(name)
    assert await in_store(store, await pulled(source, store, pieces=1000)) == [gguf]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (lambda data: data[:-1] + b"?", DigestMismatch),
        (lambda data: data + b"more", SizeMismatch),
        (lambda data: data[:-5], SizeMismatch),
    ],
)
async def test_a_file_that_is_not_the_listed_one(
    listed: HubSource,
    server: HubServer,
    store: Store,
    content: Callable[[bytes], bytes],
    error: type[StokerError],
) -> None:
    source = listed
    root = await source.resolve()
    server.on("/blobs/", Replace(content), times=20, server="cdn")
    with pytest.raises(error):
        await pulled(source, store)
    assert not await store.blobs.exists(root)
    (layer,) = (await manifest_of(source)).layers
    assert not await store.blobs.exists(layer)


async def test_ranges_of_another_file(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    source = await hub.repository(name)
    (layer,) = (await manifest_of(source)).layers
    wrong = {"Content-Range": f"bytes 5-{len(gguf) - 1}/{len(gguf)}"}
    server.on("/blobs/", Answer(206, wrong, gguf[5:]), server="cdn")
    with pytest.raises(HubError, match=r"another part of 'm-Q4_K_M.gguf'"):
        await read(source, layer, at=4)
    server.on("/blobs/", Answer(416, {"Content-Range": "bytes */3"}), server="cdn")
    with pytest.raises(SizeMismatch, match="not the file that was listed"):
        await read(source, layer, at=4)
    server.on("/blobs/", Answer(200, {"Content-Encoding": "gzip"}, b"x"), server="cdn")
    with pytest.raises(HubError, match=r"repacked 'm-Q4_K_M.gguf' as 'gzip'"):
        await read(source, layer)


async def test_a_small_file_that_is_not_the_listed_one(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf, "LICENSE": b"yours"})
    server.on("/LICENSE", Replace(lambda _: b"mine!"), times=9)
    source = await hub.repository(name)
    with pytest.raises(DigestMismatch, match="'LICENSE' is not the file that was listed"):
        await source.resolve()


AT_HUB: list[Fault] = [Cut(20), Answer(502), Answer(429, {"Retry-After": "0"})]


def _at_cdn(chance: random.Random, size: int) -> list[Fault]:
    return [
        Cut(chance.randrange(size)), Answer(503), Answer(429, {"Retry-After": "0"}), Answer(416),
        IgnoreRange(), Answer(403), Replace(lambda data: data[:-1] + b"?"),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
async def test_any_faults_end_in_a_whole_model_or_an_error(
    hub: HubClient, server: HubServer, gguf: bytes, store: Store, seed: int
) -> None:
    chance = random.Random(seed)
    server.add(f"Org/Faults-{seed}", {"m-Q4_K_M.gguf": gguf, "LICENSE": b"yes", "a.jinja": b"{}"})
    for _ in range(12):
        server.on("/blobs/", chance.choice(_at_cdn(chance, len(gguf))), server="cdn")
        if chance.random() < 0.3:
            server.on(chance.choice(["/resolve/", "/tree/", "/revision/"]), chance.choice(AT_HUB))
    for _ in range(30):
        try:
            source = await hub.repository(f"Org/Faults-{seed}")
            manifest = await pulled(source, store, pieces=chance.choice([1000, 1 << 40]))
        except StokerError:
            assert not store.entries()
        else:
            assert await in_store(store, manifest) == [gguf, b"{}", b"yes"]
            return
    pytest.fail("the faults ended, and there is still no model")
