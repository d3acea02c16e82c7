"""Planning before a pull: a real registry and a hub are asked for headers, and for no weights."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stoker.base.errors import ModelNotFound, ParseError, UnsupportedFormat
from stoker.distribution.bundled import bundled_file
from stoker.hub import HubClient, HubOptions
from stoker.library.remote import RemoteModels
from stoker.oci.mediatypes import DOCKER_DIR_TAR
from stoker.oci.reference import parse_reference
from stoker.registry.client import RegistryClient
from stoker.store import Store
from stoker.store.headers import gguf_facts
from stoker.transfer.glance import Glance
from tests.components.faults import IgnoreRange, fault_proxy
from tests.components.hub import IgnoreRange as WholeFile
from tests.components.hub import hub_server
from tests.components.oci_registry import RunningRegistry, oci_registry, seed_model
from tests.planner.shapes import Size, dense, write

_NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF whose weights are far larger than its header."""
    size = Size(width=512, feed_forward=1536)
    return write(dense("plan", size), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def weights(model: Path) -> bytes:
    return model.read_bytes()


@asynccontextmanager
async def _looking(
    folder: Path, endpoint: str = "http://127.0.0.1:9"
) -> AsyncIterator[RemoteModels]:
    async with RegistryClient() as registries, HubClient(HubOptions(endpoint=endpoint)) as hub:
        store = Store.open(folder / "store")
        yield RemoteModels(store, registries, hub, bundled=bundled_file)


async def test_a_registry_sends_the_header_and_no_weights(
    registry: RunningRegistry, model: Path, weights: bytes, tmp_path: Path
) -> None:
    seed_model(registry.host, "me/plan", weights)
    async with _looking(tmp_path) as remote:
        offer = await remote.look(f"{registry.host}/me/plan")
    assert offer.facts == gguf_facts(model)
    assert offer.spec.weights_size == len(weights)
    assert offer.download >= len(weights)
    assert 0 < _sent(registry, "me/plan") < len(weights) // 20


async def test_a_registry_without_ranges_is_read_from_the_start_and_left(
    registry: RunningRegistry, model: Path, weights: bytes, tmp_path: Path
) -> None:
    seeded = seed_model(registry.host, "me/whole", weights)
    async with fault_proxy(registry.host) as proxy, _looking(tmp_path) as remote:
        proxy.on("GET", "/blobs/", IgnoreRange(), times=100)
        offer = await remote.look(f"{proxy.host}/me/whole")
        assert offer.facts == gguf_facts(model)
        assert proxy.count("GET", "/blobs/") == 1
    async with fault_proxy(registry.host) as proxy, RegistryClient() as registries:
        proxy.on("GET", "/blobs/", IgnoreRange(), times=100)
        source = registries.repository(parse_reference(f"{proxy.host}/me/whole"))
        blob = seeded.manifest.layers[0]
        async with Glance(source, blob, most=4 * 1024 * 1024) as glance:
            near = await glance.read(1000, 5)
            assert near == seeded.blobs[blob.digest][1000:1005]
            with pytest.raises(ParseError, match="no end of its header"):
                await glance.read(len(seeded.blobs[blob.digest]) - 5, 5)


async def test_a_hub_sends_headers_of_one_file_and_the_sizes_of_all(
    weights: bytes, tmp_path: Path
) -> None:
    larger = weights * 2
    with hub_server(page=100) as hub:
        hub.add(
            "Org/Plan-GGUF",
            {
                "Plan-Q4_K_M.gguf": weights,
                "Plan-Q8_0.gguf": larger,
                "Other-Q8_0.gguf": weights[:4096],
                "mmproj-F16.gguf": weights[:9000],
            },
        )
        async with _looking(tmp_path, hub.url) as remote:
            offer = await remote.look("hf.co/Org/Plan-GGUF")
        ranges = [seen.headers["range"] for seen in hub.seen if seen.server == "cdn"]
    assert offer.quantizations == {"Q4_K_M": len(weights), "Q8_0": len(larger)}
    assert offer.spec.mmproj_size == 9000
    assert offer.download > len(weights) + 9000
    spans = [re.fullmatch(r"bytes=(\d+)-(\d+)", one) for one in ranges]
    asked = sum(int(span[2]) - int(span[1]) + 1 for span in spans if span)
    assert all(spans)
    assert 0 < asked < len(weights) // 20


async def test_a_hub_without_ranges_is_left_after_the_header(
    model: Path, weights: bytes, tmp_path: Path
) -> None:
    with hub_server() as hub:
        hub.add("Org/Whole", {"Whole-Q8_0.gguf": weights})
        hub.on("/blobs/", WholeFile(), times=100, server="cdn")
        async with _looking(tmp_path, hub.url) as remote:
            assert (await remote.look("hf.co/Org/Whole")).facts == gguf_facts(model)


async def test_what_cannot_be_planned_is_said(registry: RunningRegistry, tmp_path: Path) -> None:
    seed_model(registry.host, "me/bad", b"GGUF" + bytes(100))
    seed_model(registry.host, "me/tar", {DOCKER_DIR_TAR: bytes(1024)})
    async with _looking(tmp_path) as remote:
        with pytest.raises(ParseError):
            await remote.look(f"{registry.host}/me/bad")
        with pytest.raises(UnsupportedFormat, match="cannot be planned"):
            await remote.look(f"{registry.host}/me/tar")
        with pytest.raises(ModelNotFound):
            await remote.look(f"{registry.host}/me/none")
        assert (await remote.look("pilot")).download == 0


def _sent(registry: RunningRegistry, repository: str) -> int:
    """Bytes of blobs that it wrote to us, once it has logged that."""
    logged = re.compile(rf'"GET /v2/{repository}/blobs/[^"]*" 20[06] (\d+) "" "stoker')
    while not (sizes := logged.findall(registry.log.read_text())):
        time.sleep(0.02)
    return sum(map(int, sizes))
