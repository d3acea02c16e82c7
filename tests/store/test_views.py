import errno
import os

import pytest

from stoker.base.errors import CorruptStore, UnsupportedFormat
from stoker.oci.descriptor import Descriptor
from stoker.store import Store
from stoker.store.viewnames import check_names
from tests.store.models import Model, model, put_model

NAME = "docker.io/ai/pilot:latest"


@pytest.fixture
async def pilot(store: Store) -> Model:
    return await put_model(store, model(b"one", b"two"), NAME)


def test_a_view_is_made_of_hard_links(store: Store, pilot: Model) -> None:
    one, two = pilot.manifest.layers
    view = store.view(pilot.descriptor.digest, [("a.gguf", one), ("tokenizer/b.json", two)])
    assert (view / "tokenizer" / "b.json").read_bytes() == b"two"
    assert (view / "a.gguf").samefile(store.blobs.path_of(one.digest))


def test_a_view_is_reused(store: Store, pilot: Model) -> None:
    files = [("a.gguf", pilot.manifest.layers[0])]
    first = store.view(pilot.descriptor.digest, files)
    # Others may put things beside ours, unpacked archives for instance.
    (first / "unpacked").mkdir()
    assert store.view(pilot.descriptor.digest, files) == first
    assert (first / "unpacked").exists()


def test_an_incomplete_view_is_built_again(store: Store, pilot: Model) -> None:
    one, two = pilot.manifest.layers
    view = store.view(pilot.descriptor.digest, [("a.gguf", one)])
    again = store.view(pilot.descriptor.digest, [("a.gguf", one), ("b.gguf", two)])
    assert view == again
    assert (view / "b.gguf").read_bytes() == b"two"
    (view / "a.gguf").unlink()
    store.view(pilot.descriptor.digest, [("a.gguf", one), ("b.gguf", two)])
    assert (view / "a.gguf").read_bytes() == b"one"


def test_a_view_keeps_the_bytes_of_a_removed_model(store: Store, pilot: Model) -> None:
    view = store.view(pilot.descriptor.digest, [("a.gguf", pilot.manifest.layers[0])])
    with (view / "a.gguf").open("rb") as engine:
        store.remove(pilot.descriptor.digest)
        store.gc()
        assert engine.read() == b"one"


def test_a_missing_blob_is_named(store: Store, pilot: Model) -> None:
    absent = Descriptor.of(b"absent", "application/octet-stream")
    with pytest.raises(CorruptStore, match=absent.digest):
        store.view(pilot.descriptor.digest, [("a", absent)])
    assert list((store.root / ".stoker" / "views").iterdir()) == []


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, "another file system")


def test_symbolic_links_where_hard_ones_cannot_be(
    store: Store, pilot: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _refuse)
    files = [("a.gguf", pilot.manifest.layers[0])]
    view = store.view(pilot.descriptor.digest, files)
    assert (view / "a.gguf").is_symlink()
    assert (view / "a.gguf").read_bytes() == b"one"
    inode = (view / "a.gguf").lstat().st_ino
    store.view(pilot.descriptor.digest, files)
    assert (view / "a.gguf").lstat().st_ino == inode


def test_copies_where_no_link_can_be(
    store: Store, pilot: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _refuse)
    monkeypatch.setattr(os, "symlink", _refuse)
    files = [("a.gguf", pilot.manifest.layers[0])]
    view = store.view(pilot.descriptor.digest, files)
    assert (view / "a.gguf").read_bytes() == b"one"
    inode = (view / "a.gguf").stat().st_ino
    store.view(pilot.descriptor.digest, files)
    assert (view / "a.gguf").stat().st_ino == inode


GOOD_NAMES = [
    "model.gguf",
    "model-00001-of-00002.gguf",
    ".gitattributes",
    "text_encoder/model.safetensors",
    "a/b/c/d.json",
    "modèle.gguf",
    "模型.gguf",
    "..x",
    "a..b",
    "C",
    "aux.txt",
    "x" * 255,
]
BAD_NAMES = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "//server/share",
    "../x",
    "a/../x",
    "a/..",
    "a/./b",
    "./a",
    "a//b",
    "a/",
    "a\\b",
    "..\\x",
    "\\\\?\\C:\\x",
    "C:x",
    "C:/x",
    "c:\\x",
    "a\0b",
    "a\nb",
    "a\x1b[31m",
    "trailing.",
    "trailing ",
    " leading",
    "a/ ",
    "a/b./c",
    "...",
    ". .",
    "\uff0e\uff0e/x",
    "\u2025/x",
    "\uff0fetc",
    "a\uff0fb",
    "a\uff3cb",
    "\uff23:x",
    "model\u202efugg.exe",
    "a\u200bb",
    "a\u2028b",
    "\ud800",
    "x" * 256,
    "é" * 128,
    "a/" * 1500 + "a",
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(name: str) -> None:
    check_names([name])


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_bad_names(store: Store, pilot: Model, name: str) -> None:
    with pytest.raises(UnsupportedFormat, match="refused") as caught:
        store.view(pilot.descriptor.digest, [(name, pilot.manifest.layers[0])])
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert list((store.root / ".stoker" / "views").iterdir()) == []


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("Model.gguf", "model.GGUF"),
        ("e\u0301.json", "\u00e9.json"),
        ("stra\u00dfe", "STRASSE"),
        ("a", "a/b"),
        ("A/b", "a"),
        ("x/y/z", "x"),
    ],
    ids=ascii,
)
def test_names_that_collide(names: tuple[str, str]) -> None:
    with pytest.raises(UnsupportedFormat):
        check_names(names)
