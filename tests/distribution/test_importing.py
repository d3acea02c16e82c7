"""Models of other programs, laid out on disk as those programs do it."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path

import pytest

from stoker.base.errors import DigestMismatch, StokerError
from stoker.distribution.artifact import Artifact, store_artifact
from stoker.distribution.found import Found, Unusable
from stoker.distribution.importing import find_models
from stoker.distribution.layers import ignore
from stoker.distribution.package import build
from stoker.distribution.package_gguf import plan_gguf
from stoker.oci import mediatypes as mt
from stoker.store import Store
from tests.distribution.files import checkout, projector, shards, tiny_gguf


def found(source: Path) -> list[Found]:
    return [one for one in find_models(source) if isinstance(one, Found)]


def taken(store: Store, model: Found) -> Artifact:
    artifact = model.build(ignore)
    asyncio.run(store_artifact(store, artifact, model.name, share=True))
    return artifact


def names(artifact: Artifact) -> list[str]:
    return [layer.annotations[mt.ANNOTATION_FILEPATH] for layer in artifact.manifest.layers]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "models")


def hub(root: Path, repository: str, files: dict[str, Path]) -> Path:
    """A repository in Hugging Face's cache: links in a snapshot, content beside it."""
    folder = root / f"models--{repository.replace('/', '--')}"
    commit = "c0ffee" * 6
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "blobs").mkdir()
    for name, path in files.items():
        blob = folder / "blobs" / sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return folder


def test_a_file_gets_a_name_of_its_own(tmp_path: Path) -> None:
    (model,) = found(tiny_gguf(tmp_path / "My Model (v2).Q4_K_M.gguf"))
    assert str(model.name) == "docker.io/ai/my-model-v2-q4-k-m:latest"
    (sharded,) = found(shards(tmp_path / "s", prefix="Big")[0])
    assert str(sharded.name) == "docker.io/ai/big:latest"


def test_a_gguf_repository_of_hugging_face(tmp_path: Path, store: Store) -> None:
    files = {
        "m-Q8_0.gguf": tiny_gguf(tmp_path / "a", seed=1),
        "mmproj-f16.gguf": projector(tmp_path / "b"),
        "README.md": checkout(tmp_path / "c") / "README.md",
    }
    folder = hub(tmp_path / "hub", "org/Repo-GGUF", files)
    (model,) = found(tmp_path / "hub")
    assert (
        model.name == found(folder)[0].name == found(next((folder / "snapshots").iterdir()))[0].name
    )
    assert str(model.name) == "huggingface.co/org/repo-gguf:latest"
    artifact = taken(store, model)
    assert names(artifact) == ["m-Q8_0.gguf", "mmproj-f16.gguf"]
    blob = store.blobs.path_of(artifact.manifest.layers[0].digest)
    assert blob.stat().st_nlink == 2 or blob.stat().st_blocks == 0


def test_a_safetensors_repository_of_hugging_face(tmp_path: Path, store: Store) -> None:
    source = checkout(tmp_path / "c")
    (source / "modeling.py").write_text("x")
    folder = hub(tmp_path / "hub", "org/repo", {path.name: path for path in source.iterdir()})
    (next((folder / "snapshots").iterdir()) / "passwd.txt").symlink_to("/etc/passwd")
    (model,) = found(tmp_path / "hub")
    assert any("modeling.py" in note for note in model.notes)
    assert "left out passwd.txt: a link" in model.notes
    artifact = taken(store, model)
    assert artifact.manifest.config.media_type == mt.DOCKER_CONFIG_V02
    assert "model.safetensors" in names(artifact)
    assert store.fsck(deep=True).problems == ()


def test_a_download_cut_short_does_not_hide_other_models(tmp_path: Path) -> None:
    whole, cut = tiny_gguf(tmp_path / "a", seed=1), tiny_gguf(tmp_path / "b", seed=2)
    cut.write_bytes(cut.read_bytes()[:-9])
    hub(tmp_path / "hub", "org/cut", {"m.gguf": cut})
    hub(tmp_path / "hub", "org/whole", {"m.gguf": whole})
    bad, good = find_models(tmp_path / "hub")
    assert isinstance(bad, Unusable)
    assert "m.gguf" in bad.why
    assert isinstance(good, Found)
    assert good.name.repository == "org/whole"


def test_a_file_cut_short_does_not_hide_the_others_of_its_repository(tmp_path: Path) -> None:
    whole, cut = tiny_gguf(tmp_path / "a", seed=1), tiny_gguf(tmp_path / "b", seed=2)
    cut.write_bytes(cut.read_bytes()[:-9])
    hub(tmp_path / "hub", "org/some", {"a-Q8_0.gguf": cut, "b-Q8_0.gguf": whole})
    bad, good = find_models(tmp_path / "hub")
    assert isinstance(bad, Unusable)
    assert "a-Q8_0.gguf" in bad.where
    assert isinstance(good, Found)


def test_files_of_one_quantization_get_names_of_their_own(tmp_path: Path) -> None:
    files = [tiny_gguf(tmp_path / str(seed), seed=seed) for seed in range(3)]
    names = ("a.gguf", "b-00001-of-00001.gguf", "small/a.gguf")
    hub(tmp_path / "hub", "org/some", dict(zip(names, files, strict=True)))
    assert [model.name.tag for model in found(tmp_path / "hub")] == ["a", "b", "small-a"]


def test_what_lies_beside_snapshots_is_none(tmp_path: Path) -> None:
    folder = hub(tmp_path / "hub", "org/some", {"a.gguf": tiny_gguf(tmp_path / "a")})
    (folder / "refs" / "main").unlink()
    (folder / "snapshots" / ".DS_Store").write_text("newer than the snapshot")
    assert [model.name.repository for model in found(tmp_path / "hub")] == ["org/some"]


def ollama(root: Path, name: str, layers: list[tuple[str, bytes]]) -> Path:
    """A model in Ollama's store; `name` is `registry/namespace/name/tag`."""
    entries: list[dict[str, str | int]] = []
    blobs: list[Path] = []
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    for kind, data in layers:
        digest = sha256(data).hexdigest()
        blobs.append(root / "blobs" / f"sha256-{digest}")
        blobs[-1].write_bytes(data)
        media_type = f"application/vnd.ollama.image.{kind}"
        entries.append({"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)})
    path = root / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "config": entries[0], "layers": entries}))
    return blobs[0]


def test_ollamas_store(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "ollama" / "models"
    gguf = tiny_gguf(tmp_path / "a").read_bytes()
    layers = [
        ("model", gguf),
        ("projector", projector(tmp_path / "b").read_bytes()),
        ("template", b"{{ .Prompt }}"),
        ("license", b"mine"),
        ("params", b'{"stop":["x"]}'),
    ]
    ollama(root, "registry.ollama.ai/library/tiny/1b", layers)
    ollama(root, "hf.co/org/repo/Q4", layers[:1])
    models = found(tmp_path / "ollama")
    assert [str(model.name) for model in models] == [
        "huggingface.co/org/repo:Q4",
        "docker.io/ai/tiny:1b",
    ]
    artifact = taken(store, models[1])
    assert names(artifact) == ["tiny.gguf", "LICENSE", "mmproj.gguf"]
    assert [layer.media_type for layer in artifact.manifest.layers] == [
        mt.DOCKER_GGUF,
        mt.DOCKER_LICENSE,
        mt.DOCKER_MMPROJ,
    ]


def test_all_licences_come_from_ollama(tmp_path: Path, store: Store) -> None:
    layers = [
        ("model", tiny_gguf(tmp_path / "a").read_bytes()),
        ("license", b"mine"),
        ("license", b"and what you must not do"),
    ]
    ollama(tmp_path / "o", "registry.ollama.ai/library/tiny/1b", layers)
    (model,) = found(tmp_path / "o")
    assert names(taken(store, model)) == ["tiny.gguf", "LICENSE", "2-LICENSE"]


@pytest.mark.parametrize("other", ["adapter", "model"])
def test_half_of_a_model_is_not_taken_from_ollama(other: str, tmp_path: Path) -> None:
    data = tiny_gguf(tmp_path / "a").read_bytes()
    layers = [("model", data), (other, tiny_gguf(tmp_path / "b", seed=2).read_bytes())]
    ollama(tmp_path / "o", "registry.ollama.ai/library/tuned/1b", layers)
    (left,) = find_models(tmp_path / "o")
    assert isinstance(left, Unusable)
    assert "tuned" in left.why


def test_what_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    data = [("model", tiny_gguf(tmp_path / "a").read_bytes())]
    root = tmp_path / "o"
    blob = ollama(root, "registry.ollama.ai/library/bad/1b", data)
    ollama(root, "registry.ollama.ai/library/good/1b", [*data[1:], ("model", data[0][1] + b"x")])
    blob.unlink()
    blob.symlink_to(blob)  # nobody can read it, not even root
    bad, good = find_models(root)
    assert isinstance(bad, Unusable)
    assert isinstance(good, Found)


def test_names_that_are_none_here_keep_their_tags(tmp_path: Path) -> None:
    data = [("model", tiny_gguf(tmp_path / "a").read_bytes())]
    for tag in ("q4", "q8"):
        ollama(tmp_path / "o", f"registry.ollama.ai/me/odd_.name/{tag}", data)
    assert [str(model.name) for model in found(tmp_path / "o")] == [
        "docker.io/ai/odd-name:q4",
        "docker.io/ai/odd-name:q8",
    ]


def test_a_damaged_blob_of_ollama_is_refused(tmp_path: Path) -> None:
    data = tiny_gguf(tmp_path / "a").read_bytes()
    blob = ollama(tmp_path / "o", "registry.ollama.ai/library/tiny/1b", [("model", data)])
    (model,) = found(tmp_path / "o")
    blob.write_bytes(data[:-1] + b"?")
    with pytest.raises(DigestMismatch, match="not what its name says"):
        model.build(ignore)


@pytest.fixture
def docker(tmp_path: Path) -> tuple[Path, Artifact]:
    """A model in Docker Model Runner's store, its manifest indented as we would never write it."""
    artifact = build(plan_gguf(tiny_gguf(tmp_path / "m.gguf")), created="2025-01-01T00:00:00Z")
    root = tmp_path / "docker"
    raw = json.dumps(json.loads(artifact.document), indent=1).encode()
    for kind, data in (
        ("blobs", (tmp_path / "m.gguf").read_bytes()),
        ("blobs", artifact.config),
        ("manifests", raw),
    ):
        path = root / kind / "sha256" / sha256(data).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    identifier = f"sha256:{sha256(raw).hexdigest()}"
    tags = ["docker.io/ai/tiny:latest", "docker.io/me/tiny:v1"]
    (root / "layout.json").write_text('{"version":"1.0.0"}')
    index = {"models": [{"id": identifier, "tags": tags, "files": []}]}
    (root / "models.json").write_text(json.dumps(index))
    return root, Artifact(artifact.manifest, artifact.config, {}, raw)


def test_docker_model_runners_store(docker: tuple[Path, Artifact], store: Store) -> None:
    root, expected = docker
    (model,) = found(root)
    assert taken(store, model).descriptor == expected.descriptor
    (entry,) = store.entries()
    assert entry.manifest.digest == expected.descriptor.digest, "the id stays what it was"
    assert entry.names == ("docker.io/ai/tiny:latest",)
    assert [str(alias) for alias in model.aliases] == ["docker.io/me/tiny:v1"]
    assert store.fsck(deep=True).problems == ()


def test_a_damaged_store_of_docker(docker: tuple[Path, Artifact]) -> None:
    root, expected = docker
    layer = expected.manifest.layers[0].digest.partition(":")[2]
    (root / "blobs" / "sha256" / layer).write_bytes(b"something else")
    with pytest.raises(DigestMismatch, match="not what its name says"):
        found(root)[0].build(ignore)
    manifest = next((root / "manifests" / "sha256").iterdir())
    manifest.write_bytes(b"{}")
    (bad,) = find_models(root)
    assert isinstance(bad, Unusable)
    assert bad.where == "docker.io/ai/tiny:latest"
    assert "damaged" in bad.why
    (root / "models.json").write_text('{"models":[{"id":"sha256:../../x"}]}')
    (bad,) = find_models(root)
    assert isinstance(bad, Unusable)
    assert "not a digest" in bad.why


def test_places_without_models(tmp_path: Path) -> None:
    with pytest.raises(StokerError, match="no such file or directory"):
        find_models(tmp_path / "none")
    with pytest.raises(StokerError, match="nothing that models are imported from"):
        find_models(tmp_path)
    (tmp_path / "models--org--empty").mkdir()
    with pytest.raises(StokerError, match="no complete model"):
        find_models(tmp_path)
