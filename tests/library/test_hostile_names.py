"""Names that lead elsewhere, through annotations and through tar members; and what tars can do."""

import asyncio
import gzip
import io
import os
import tarfile
import threading
import unicodedata
from pathlib import Path

import pytest

from stoker.base.errors import StokerError
from stoker.library import Library
from stoker.oci import mediatypes as mt
from stoker.planner.spec import ModelSpec
from stoker.store import Store
from tests.components.shapes import Layer, put_shape, tar_of

CONFIG = {"config": {"format": "gguf"}}
WEIGHTS = Layer(mt.DOCKER_GGUF, b"GGUF", "model.gguf")

HOSTILE = [
    "../evil", "../../evil", "a/../../evil", "a/../b", "..", ".", "a/.", "a//b", "a/",
    "/etc/passwd", "//server/share", "\\evil", "a\\..\\b", "C:\\evil", "C:evil", "c:/evil",
    "\\\\?\\C:\\evil", "\\\\server\\share", "evil\0.txt", "evil\n", "\x1b[2J", "evil\u202etxt",
    "a/\u2024\u2024/b", "a\uff0fb", "\u2025/evil", "a\uff3cb", "evil.", "evil ", " evil", "a./b",
    "a /b", "...", "~", "n" * 256, "d/" * 1500 + "x", "\u200bevil", "MODEL.gguf", "Model.GGUF",
    "model.gguf", "model.gguf/x",
]  # fmt: skip
# One of these is harmless: a tilde is expanded by shells only.
HOSTILE.remove("~")


def resolve(root: Path, *layers: Layer) -> ModelSpec:
    store = Store.open(root / "models")
    put_shape(store, "docker.io/ai/m:latest", [WEIGHTS, *layers], CONFIG)
    return asyncio.run(Library(store).resolve("m"))


def refused(root: Path, *layers: Layer, match: str = "refused|not a tar") -> None:
    """The model is not laid out, nothing is left of it, and the store is whole."""
    before = set(root.parent.rglob("evil*"))
    with pytest.raises(StokerError, match=match):
        resolve(root, *layers)
    store = Store.open(root / "models")
    assert list((store.root / ".stoker" / "views").iterdir()) == []
    assert set(root.parent.rglob("evil*")) == before
    assert store.fsck(deep=True).problems == ()


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 35


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_in_annotations(name: str, tmp_path: Path) -> None:
    refused(tmp_path, Layer(mt.DOCKER_MODEL_FILE, b"x", name))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_in_tars(name: str, tmp_path: Path) -> None:
    if "\0" in name or name.endswith("/"):
        pytest.skip("a tar cannot hold this name for a file")
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, tar_of({name: b"x"})))


def test_a_nul_in_an_extension_header(tmp_path: Path) -> None:
    info = tarfile.TarInfo("harmless")
    info.pax_headers = {"path": "evil\0.txt"}
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))


def test_composed_and_decomposed_names_are_one(tmp_path: Path) -> None:
    name = "caf\u00e9.txt"
    other = unicodedata.normalize("NFD", name)
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, tar_of({name: b"1", other: b"2"})))


def test_two_archives_with_one_name(tmp_path: Path) -> None:
    tars = [Layer(mt.DOCKER_DIR_TAR, tar_of({"a.txt": data})) for data in (b"1", b"2")]
    refused(tmp_path, *tars)


def test_a_file_where_another_has_a_directory(tmp_path: Path) -> None:
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, tar_of({"a": b"1", "a/b": b"2"})))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../evil", "model.gguf", "."])
def test_links_and_devices(kind: bytes, target: str, tmp_path: Path) -> None:
    """Also the classic: a link to a directory, then a file through it."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        link = tarfile.TarInfo("sub")
        link.type, link.linkname = kind, target
        archive.addfile(link)
        through = tarfile.TarInfo("sub/evil")
        through.size = 1
        archive.addfile(through, io.BytesIO(b"x"))
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, sink.getvalue()))


def test_sparse_files(tmp_path: Path) -> None:
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 40)}
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))


def test_permissions_are_not_taken_over(tmp_path: Path) -> None:
    tar = tar_of({"tool": b"#!/bin/sh"}, mode=0o6777, uid=0, gid=0)
    spec = resolve(tmp_path, Layer(mt.DOCKER_DIR_TAR, tar))
    assert (spec.weights.parent / "tool").stat().st_mode & 0o7777 == 0o444


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stoker.store import unpack

    monkeypatch.setattr(unpack, "FREE_SIZE", 1 << 20)
    bomb = gzip.compress(tar_of({"zeros": bytes(20 << 20)}))
    kind = "application/vnd.cncf.model.weight.config.v1.tar+gzip"
    refused(tmp_path, Layer(kind, bomb), match="grows more than 100 times")


def test_a_bomb_in_an_extension_header(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    bomb = gzip.compress(info.tobuf() + bytes(4 << 20))
    kind = "application/vnd.cncf.model.weight.config.v1.tar+gzip"
    refused(tmp_path, Layer(kind, bomb), match="extension header")


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stoker.store import unpack

    monkeypatch.setattr(unpack, "MAX_FILES", 50)
    tar = tar_of({f"{number}.txt": b"" for number in range(51)})
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, tar), match="more than 50 files")


@pytest.mark.parametrize(
    "data", [b"", b"no archive at all" * 100, tar_of({"a": b"x" * 900})[:1000]]
)
def test_archives_that_are_none(data: bytes, tmp_path: Path) -> None:
    if not data:
        assert resolve(tmp_path, Layer(mt.DOCKER_DIR_TAR, data)).weights.exists()
        return
    refused(tmp_path, Layer(mt.DOCKER_DIR_TAR, data), match="tar")
    kind = "application/vnd.cncf.model.doc.v1.tar+gzip"
    refused(tmp_path, Layer(kind, data), match="gzip")


def test_many_at_once_make_one_view(tmp_path: Path) -> None:
    """Whoever comes first lays it out; nobody sees half of it."""
    files = {f"{number}.txt": os.urandom(1000) for number in range(100)}
    store = Store.open(tmp_path / "models")
    layers = [WEIGHTS, Layer(mt.DOCKER_DIR_TAR, tar_of(files))]
    put_shape(store, "docker.io/ai/m:latest", layers, CONFIG)
    seen: list[dict[str, bytes]] = []

    def run() -> None:
        view = asyncio.run(Library(Store.open(tmp_path / "models")).resolve("m")).weights.parent
        seen.append({path.name: path.read_bytes() for path in view.glob("*.txt")})

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [files] * 8
    assert len(list((store.root / ".stoker" / "views").iterdir())) == 1
