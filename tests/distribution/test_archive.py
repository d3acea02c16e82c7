"""Models as one file: out, in, by strangers, and damaged in every way."""

import asyncio
import io
import itertools
import json
import tarfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from stoker.base.errors import StokerError
from stoker.distribution.archive import (
    Saved,
    archive_chunks,
    archive_size,
    artifact_parts,
    export_parts,
    layout_parts,
)
from stoker.distribution.artifact import store_artifact
from stoker.distribution.loading import Loaded, load
from stoker.distribution.package import Extras, build, with_extras
from stoker.distribution.package_gguf import plan_gguf
from stoker.oci.reference import parse_reference
from stoker.store import Store
from tests.components.oci_registry import skopeo
from tests.distribution.files import tiny_gguf

WHEN = "2026-01-02T03:04:05Z"
NAMES = ("docker.io/me/a:1", "docker.io/me/b:2")


async def pieces(data: bytes, step: int = 65536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def loaded(store: Store, data: bytes, step: int = 65536) -> tuple[Loaded, ...]:
    return asyncio.run(load(store, pieces(data, step)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two models that share their weights."""
    store = Store.open(tmp_path / "models")
    path = tiny_gguf(tmp_path / "m.gguf")
    for name, context in zip(NAMES, (100, 200), strict=True):
        plan = with_extras(plan_gguf(path), Extras(context_size=context))
        artifact = build(plan, created=WHEN)
        asyncio.run(store_artifact(store, artifact, parse_reference(name)))
    return store


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "other")


def saved(store: Store) -> bytes:
    models = [Saved(entry.manifest, entry.names) for entry in store.entries()]
    parts = layout_parts(store, models)
    data = b"".join(archive_chunks(parts))
    assert len(data) == archive_size(parts)
    return data


def exported(store: Store) -> bytes:
    return b"".join(archive_chunks(export_parts(store, store.entries()[0].manifest)))


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            info.name: found.read() if (found := archive.extractfile(info)) else b""
            for info in archive.getmembers()
        }


def packed(files: Iterable[tuple[str, bytes]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=kind) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def names(store: Store) -> list[str]:
    return sorted(name for entry in store.entries() for name in entry.names)


def test_several_models_share_what_they_have_in_common(store: Store, other: Store) -> None:
    data = saved(store)
    files = members(data)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    # Two manifests, two configs, one GGUF.
    assert len([name for name in files if name.startswith("blobs/sha256/")]) == 5
    assert saved(store) == data, "equal models make an equal file"
    result = loaded(other, data)
    assert sorted(name for model in result for name in model.names) == [*NAMES]
    assert [e.manifest.digest for e in other.entries()] == [
        e.manifest.digest for e in store.entries()
    ]
    assert other.fsck(deep=True).problems == ()
    assert loaded(other, data), "again: nothing to do"


def test_dockers_form_has_its_layout(store: Store, other: Store) -> None:
    data = exported(store)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        infos = archive.getmembers()
    assert [info.name for info in infos[:2]] == ["blobs", "blobs/sha256"]
    assert all(info.isdir() for info in infos[:2])
    assert infos[-1].name == "manifest.json"
    (model,) = loaded(other, data)
    assert model.names == ()
    assert model.manifest.digest == store.entries()[0].manifest.digest
    assert other.entries()[0].names == ()


def test_files_go_to_a_service_elsewhere_in_the_same_form(tmp_path: Path, other: Store) -> None:
    artifact = build(plan_gguf(tiny_gguf(tmp_path / "x.gguf")), created=WHEN)
    (model,) = loaded(other, b"".join(archive_chunks(artifact_parts(artifact))))
    assert model.manifest == artifact.descriptor


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_may_come_in_any_order(store: Store, other: Store, kind: int) -> None:
    files = members(saved(store))
    shuffled = [(f"./{name}", files[name]) for name in sorted(files, reverse=True) if files[name]]
    assert len(loaded(other, packed(shuffled, kind), step=700)) == 2
    assert names(other) == [*NAMES]


def test_manifests_may_lie_where_docker_keeps_them(store: Store, other: Store) -> None:
    files = members(exported(store))
    digest = store.entries()[0].manifest.digest.partition(":")[2]
    files[f"manifests/sha256/{digest}"] = files["manifest.json"]
    files["README"] = b"for people"
    assert loaded(other, packed(files.items()))


def test_skopeo_reads_ours_and_we_read_skopeos(store: Store, other: Store, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    ours.write_bytes(saved(store))
    digest = next(e.manifest.digest for e in store.entries() if NAMES[1] in e.names)
    raw = skopeo(tmp_path, "inspect", "--raw", f"oci-archive:{ours}:{NAMES[1]}")
    assert json.loads(raw)["config"]["mediaType"].startswith("application/vnd.docker.ai.model")
    source, target = f"oci-archive:{ours}:{NAMES[1]}", f"oci-archive:{theirs}:me/copied:1"
    skopeo(tmp_path, "copy", "--preserve-digests", source, target)
    (model,) = loaded(other, theirs.read_bytes())
    assert model.manifest.digest == digest
    assert model.names == ("docker.io/me/copied:1",)


def test_an_archive_cut_anywhere_leaves_nothing(store: Store, other: Store) -> None:
    data = saved(store)
    end = len(data) - 1024  # the two empty blocks at the end may be missing
    cuts = {0, 1, 511, 512, 1536, end - 1, end - 513, *range(700, end, end // 25)}
    for cut in sorted(cuts):
        with pytest.raises(StokerError):
            loaded(other, data[:cut])
        assert other.entries() == ()
        blobs = [path for path in (other.root / "blobs").rglob("*") if path.is_file()]
        assert blobs == [], f"cut at {cut}"
    assert len(loaded(other, data)) == 2


def test_every_flipped_byte_of_content_is_noticed(store: Store, other: Store) -> None:
    data = bytearray(exported(store))
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
        places = [i.offset_data + i.size // 2 for i in archive.getmembers() if i.size]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(StokerError):
            loaded(other, bytes(damaged))
        assert other.entries() == ()


def test_bad_archives(store: Store, other: Store) -> None:
    files = members(saved(store))
    names_of = {name: data for name, data in files.items() if data}
    blob = next(name for name in names_of if name.startswith("blobs/"))
    index = json.loads(files["index.json"])
    index["manifests"][0]["digest"] = "sha256:" + "0" * 64
    cases: dict[str, tuple[dict[str, bytes], str]] = {
        "a missing blob": ({k: v for k, v in names_of.items() if k != blob}, "lacks"),
        "an unknown manifest": (
            {**names_of, "index.json": json.dumps(index).encode()},
            "lacks the manifest",
        ),
        "traversal": ({**names_of, "blobs/../../etc/passwd": b"x"}, "refused"),
        "no digest": ({**names_of, "blobs/sha256/nonsense": b"x"}, "not a digest"),
        "upper case": ({**names_of, "blobs/sha256/" + "A" * 64: b"x"}, "not a digest"),
        "another content": ({**names_of, "blobs/sha256/" + "a" * 64: b"x"}, "the content is not"),
        "no index": ({k: v for k, v in names_of.items() if k != "index.json"}, "neither"),
        "an empty index": (
            {**names_of, "index.json": b'{"schemaVersion":2,"manifests":[]}'},
            "no model",
        ),
        "a broken index": ({**names_of, "index.json": b"{"}, "index"),
        "docker save": ({"manifest.json": b'[{"Config":"x"}]'}, "manifest"),
    }
    for what, (content, words) in cases.items():
        with pytest.raises(StokerError, match=words):
            loaded(other, packed(content.items()))
        assert other.entries() == (), what
    with pytest.raises(StokerError, match="not a tar archive"):
        loaded(other, b"PK\x03\x04" + b"x" * 2000)
    with pytest.raises(StokerError):
        loaded(other, b"")


def test_an_unknown_kind_of_config_says_to_upgrade(store: Store, other: Store) -> None:
    files = members(exported(store))
    manifest = json.loads(files["manifest.json"])
    manifest["config"]["mediaType"] = "application/vnd.docker.ai.model.config.v9+json"
    files["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(StokerError, match=r'v9\+json" is not supported .* try upgrading'):
        loaded(other, packed(files.items()))


def test_names_that_are_only_tags_are_no_names(store: Store, other: Store) -> None:
    files = members(saved(store))
    index = json.loads(files["index.json"])
    odd = itertools.cycle(["latest", "a/b c", "../x/y"])
    for entry in index["manifests"]:
        entry["annotations"] = {"org.opencontainers.image.ref.name": next(odd)}
    files["index.json"] = json.dumps(index).encode()
    assert all(model.names == () for model in loaded(other, packed(files.items())))


def test_many_blobs_need_few_leases(store: Store, other: Store) -> None:
    files = members(exported(store))
    many = {f"blobs/sha256/{_digest(n)}": str(n).encode() for n in range(200)}
    assert loaded(other, packed([*many.items(), *files.items()]))
    other.gc()
    assert not list((other.root / ".stoker" / "leases").iterdir())
    assert other.fsck().blobs == 3


def _digest(number: int) -> str:
    from hashlib import sha256

    return sha256(str(number).encode()).hexdigest()
