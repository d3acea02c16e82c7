"""Files become artifacts: what is written, that it is always the same, and what is refused."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from stoker.base.errors import StokerError
from stoker.distribution.artifact import Artifact, store_artifact
from stoker.distribution.layers import Wanted, created_of, file_layer, file_layers
from stoker.distribution.package import Extras, Plan, build, with_extras
from stoker.distribution.package_directory import plan_directory
from stoker.distribution.package_gguf import plan_dduf, plan_gguf
from stoker.distribution.repackage import repackaged
from stoker.oci import mediatypes as mt
from stoker.oci.modelconfig import parse_config
from stoker.oci.reference import parse_reference
from stoker.store import Adoption, Store
from stoker.store.viewnames import check_names
from tests.components.tiny_models import bad_models
from tests.distribution.files import checkout, projector, shards, tiny_gguf

WHEN = "2026-01-02T03:04:05Z"


def made(plan: Plan, *, modelpack: bool = False) -> Artifact:
    return build(plan, created=WHEN, modelpack=modelpack)


def kinds(artifact: Artifact) -> list[tuple[str, str]]:
    return [
        (layer.media_type, layer.annotations[mt.ANNOTATION_FILEPATH])
        for layer in artifact.manifest.layers
    ]


def test_a_gguf_is_written_as_docker_model_runner_does(tmp_path: Path) -> None:
    artifact = made(plan_gguf(tiny_gguf(tmp_path / "tiny.gguf")))
    manifest = json.loads(artifact.document)
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == mt.OCI_MANIFEST
    assert "artifactType" not in manifest
    assert manifest["config"]["mediaType"] == mt.DOCKER_CONFIG_V01
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == mt.DOCKER_GGUF
    metadata = json.loads(layer["annotations"].pop(mt.ANNOTATION_FILE_METADATA))
    assert layer["annotations"] == {
        mt.ANNOTATION_FILEPATH: "tiny.gguf",
        mt.ANNOTATION_MEDIATYPE_UNTESTED: "false",
    }
    assert list(metadata) == ["name", "mode", "uid", "gid", "size", "mtime", "typeflag"]
    config = json.loads(artifact.config)
    assert config["config"]["format"] == "gguf"
    assert config["config"]["context_size"] == 8192
    assert config["config"]["gguf"]["general.architecture"] == "llama"
    assert config["descriptor"] == {"created": WHEN}
    assert config["rootfs"] == {"type": "rootfs", "diff_ids": [layer["digest"]]}


def test_equal_files_make_equal_artifacts_wherever_they_are(tmp_path: Path) -> None:
    first = tiny_gguf(tmp_path / "tiny.gguf")
    other = tmp_path / "elsewhere" / "tiny.gguf"
    other.parent.mkdir()
    shutil.copyfile(first, other)
    other.chmod(0o600)
    os.utime(other, (1, 1))
    assert made(plan_gguf(first)).document == made(plan_gguf(other)).document


def test_the_date_is_that_of_the_newest_file(tmp_path: Path) -> None:
    old, new = tiny_gguf(tmp_path / "a.gguf"), tiny_gguf(tmp_path / "b.gguf")
    os.utime(old, (1000, 1000))
    os.utime(new, (2000, 2000))
    assert created_of([old, new], {}) == "1970-01-01T00:33:20Z"
    assert created_of([old, new], {"SOURCE_DATE_EPOCH": "0"}) == "1970-01-01T00:00:00Z"
    with pytest.raises(StokerError, match="not a number of seconds"):
        created_of([old], {"SOURCE_DATE_EPOCH": "yesterday"})


def test_shards_are_found_from_one_of_them(tmp_path: Path) -> None:
    paths = shards(tmp_path)
    artifact = made(plan_gguf(paths[0]))
    assert [name for _, name in kinds(artifact)] == [path.name for path in paths]
    assert made(plan_gguf(paths[1])).document == artifact.document
    paths[2].unlink()
    with pytest.raises(StokerError, match=r"big-00003-of-00003\.gguf is not in"):
        plan_gguf(paths[0])
    lonely = paths[0].rename(tmp_path / "renamed.gguf")
    with pytest.raises(StokerError, match="one of 3 shards"):
        plan_gguf(lonely)


def test_extras_come_in_dockers_order(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine")
    (tmp_path / "NOTICE").write_text("theirs")
    (tmp_path / "t.jinja").write_text("{{ messages }}")
    extras = Extras(
        licenses=(tmp_path / "LICENSE", tmp_path / "NOTICE"),
        mmproj=projector(tmp_path / "mmproj-f16.gguf"),
        chat_template=tmp_path / "t.jinja",
        context_size=512,
    )
    artifact = made(with_extras(plan_gguf(tiny_gguf(tmp_path / "m.gguf")), extras))
    assert kinds(artifact) == [
        (mt.DOCKER_GGUF, "m.gguf"),
        (mt.DOCKER_LICENSE, "LICENSE"),
        (mt.DOCKER_LICENSE, "NOTICE"),
        (mt.DOCKER_MMPROJ, "mmproj-f16.gguf"),
        (mt.DOCKER_CHAT_TEMPLATE, "t.jinja"),
    ]
    assert json.loads(artifact.config)["config"]["context_size"] == 512


def test_a_directory_is_one_layer_a_file(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "m")
    (folder / "modeling.py").write_text("import os")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "sub").mkdir()
    (folder / "sub" / "vocab.txt").write_text("a")
    plan = plan_directory(folder)
    artifact = made(plan)
    assert kinds(artifact) == [
        (mt.DOCKER_LICENSE, "LICENSE"),
        (mt.DOCKER_MODEL_FILE, "README.md"),
        (mt.DOCKER_CHAT_TEMPLATE, "chat_template.jinja"),
        (mt.DOCKER_MODEL_FILE, "config.json"),
        (mt.DOCKER_SAFETENSORS, "model.safetensors"),
        (mt.DOCKER_MODEL_FILE, "sub/vocab.txt"),
        (mt.DOCKER_MODEL_FILE, "tokenizer.json"),
    ]
    assert artifact.manifest.config.media_type == mt.DOCKER_CONFIG_V02
    assert sorted(note.partition(":")[0] for note in plan.notes) == [
        "left out link.json",
        "left out modeling.py",
        "left out pytorch_model.bin",
    ]
    config = json.loads(artifact.config)["config"]
    assert config["format"] == "safetensors"
    assert config["quantization"] == "F16"
    assert config["context_size"] == 2048
    assert config["safetensors"] == {"tensor_count": "1"}


def test_python_comes_along_when_asked_for_and_nothing_else_that_runs(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "m")
    for name in ("modeling.py", "sub/layers.py", "helper.so", "pytorch_model.bin", ".hidden.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("import os")
    (folder / "link.py").symlink_to("/etc/passwd")
    plan = plan_directory(folder, code=True)
    names = {name for _, name in kinds(made(plan))}
    assert {name for name in names if name.endswith((".py", ".so", ".bin"))} == {
        "modeling.py", "sub/layers.py"
    }  # fmt: skip
    assert "took modeling.py: program code, never run without consent" in plan.notes
    types = {name: kind for kind, name in kinds(made(plan, modelpack=True))}
    assert types["modeling.py"] == "application/vnd.cncf.model.code.v1.raw"
    assert types["config.json"] == mt.CNCF_WEIGHT_CONFIG_RAW


def test_modelpack_is_written_as_its_specification_says(tmp_path: Path) -> None:
    artifact = made(plan_directory(checkout(tmp_path / "m")), modelpack=True)
    manifest = json.loads(artifact.document)
    assert manifest["artifactType"] == mt.CNCF_ARTIFACT
    assert manifest["config"]["mediaType"] == mt.CNCF_CONFIG
    types = {name: kind for kind, name in kinds(artifact)}
    assert types["model.safetensors"] == mt.CNCF_WEIGHT_RAW
    assert types["config.json"] == types["chat_template.jinja"] == mt.CNCF_WEIGHT_CONFIG_RAW
    assert types["LICENSE"] == types["README.md"] == mt.CNCF_DOC_RAW
    config = json.loads(artifact.config)
    assert config["modelfs"]["type"] == "layers"
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]
    parsed = parse_config(artifact.config, mt.CNCF_CONFIG)
    assert (parsed.format, parsed.parameters, parsed.created) == ("safetensors", "32.00", WHEN)


def test_what_a_modelpack_could_not_tell_from_weights_is_refused(tmp_path: Path) -> None:
    plan = plan_gguf(tiny_gguf(tmp_path / "m.gguf"))
    template = tmp_path / "template.txt"
    template.write_text("{{ messages }}")
    for extras in (Extras(chat_template=template), Extras(mmproj=projector(tmp_path / "a.gguf"))):
        docker = made(with_extras(plan, extras))
        with pytest.raises(StokerError, match=r"'(template\.txt|a\.gguf)' tells nothing"):
            made(with_extras(plan, extras), modelpack=True)
        with pytest.raises(StokerError, match="tells nothing"):
            repackaged(docker.manifest, docker.config, Extras(), modelpack=True)


def test_a_dduf_is_one_layer(tmp_path: Path) -> None:
    path = tmp_path / "flux.dduf"
    path.write_bytes(b"PK\x03\x04rest")
    artifact = made(plan_dduf(path))
    assert kinds(artifact) == [(mt.DOCKER_DDUF, "flux.dduf")]
    assert json.loads(artifact.config)["config"] == {
        "format": "dduf",
        "architecture": "diffusers",
        "diffusers": {"dduf_file": "flux.dduf", "layout": "dduf"},
    }
    path.write_bytes(b"GGUF")
    with pytest.raises(StokerError, match="not a DDUF archive"):
        plan_dduf(path)


@pytest.mark.parametrize(
    "kind",
    ["truncated tensors", "truncated header", "garbage", "html", "empty", "wrong version",
     "missing"],
)  # fmt: skip
def test_a_file_that_is_no_whole_gguf(kind: str, tmp_path: Path) -> None:
    path = bad_models(tmp_path)[kind]
    with pytest.raises(StokerError) as error:
        plan_gguf(path)
    assert path.name in error.value.message


def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(StokerError, match="not a regular file"):
        plan_gguf(tmp_path / "pipe.gguf")
    with pytest.raises(StokerError, match="is a directory"):
        plan_gguf(tmp_path)
    with pytest.raises(StokerError, match="no such directory"):
        plan_directory(tmp_path / "none")
    with pytest.raises(StokerError, match=r"no \.safetensors files"):
        plan_directory(tmp_path)


def test_files_that_are_not_what_they_are_given_for(tmp_path: Path) -> None:
    model = tiny_gguf(tmp_path / "m.gguf")
    with pytest.raises(StokerError, match="is a projector, not a model"):
        plan_gguf(projector(tmp_path / "p.gguf"))
    with pytest.raises(StokerError, match="is a model, not a projector"):
        with_extras(plan_gguf(model), Extras(mmproj=model))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StokerError, match="not UTF-8"):
        with_extras(plan_gguf(model), Extras(chat_template=tmp_path / "binary"))
    with pytest.raises(StokerError, match="invalid context size"):
        with_extras(plan_gguf(model), Extras(context_size=2**31))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "M.gguf").write_text("a licence with an odd name")
    with pytest.raises(StokerError, match="would both be called"):
        with_extras(plan_gguf(model), Extras(licenses=(tmp_path / "x" / "M.gguf",)))


def test_a_directory_of_two_formats_or_with_a_shard_missing(tmp_path: Path) -> None:
    mixed = checkout(tmp_path / "mixed")
    tiny_gguf(mixed / "m.gguf")
    with pytest.raises(StokerError, match="a model has one format"):
        plan_directory(mixed)
    cut = checkout(tmp_path / "cut", weights=("model-00001-of-00002.safetensors",))
    with pytest.raises(StokerError, match=r"model-00002-of-00002\.safetensors"):
        plan_directory(cut)
    indexed = checkout(tmp_path / "indexed")
    index = {"weight_map": {"w": "other.safetensors"}}
    (indexed / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(StokerError, match=r"other\.safetensors"):
        plan_directory(indexed)
    index = {"weight_map": {"w0": "model.safetensors", "w1": "model.safetensors"}}
    (indexed / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(StokerError, match=r"that are not there: w1 in model\.safetensors$"):
        plan_directory(indexed)


def test_storing_takes_no_space_and_protects_what_it_shares(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    artifact = made(plan_gguf(path))
    store = Store.open(tmp_path / "models")
    name = parse_reference("me/m")
    ways = asyncio.run(store_artifact(store, artifact, name, share=True))
    blob = store.blobs.path_of(artifact.manifest.layers[0].digest)
    if Adoption.LINKED in ways:  # Btrfs and XFS share blocks instead
        assert blob.stat().st_ino == path.stat().st_ino
        assert path.stat().st_mode & 0o222 == 0
    assert store.fsck(deep=True).problems == ()
    path.unlink()
    assert store.fsck(deep=True).problems == ()


def test_a_file_that_changes_meanwhile_is_not_taken_in(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    artifact = made(plan_gguf(path))
    os.utime(path, ns=(1, 1))
    store = Store.open(tmp_path / "models")
    with pytest.raises(StokerError, match="changed while it was being read"):
        asyncio.run(store_artifact(store, artifact, parse_reference("me/m"), share=True))
    assert store.entries() == ()


def test_a_copy_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    mode = path.stat().st_mode
    store = Store.open(tmp_path / "models")
    asyncio.run(store_artifact(store, made(plan_gguf(path)), parse_reference("me/m")))
    assert path.stat().st_mode == mode
    assert path.stat().st_nlink == 1


def test_what_could_not_be_laid_out_again_is_left_out_of_a_directory(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "c")
    names = ["a\\b.txt", "turned.", "C:x.txt", "two\nlines.txt", os.fsdecode(b"latin\xe9.txt")]
    for name in names:
        (folder / name).write_text("x")
    (folder / "merges.txt").touch()
    plan = plan_directory(folder)
    assert not {one.name for one in plan.wanted} & {*names, "merges.txt"}
    assert "left out merges.txt: it is empty" in plan.notes
    assert len(plan.notes) == 6
    check_names(one.name for one in plan.wanted)


def test_what_a_model_needs_is_never_left_out(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "c")
    for name in ("empty.json", "second.safetensors"):
        (folder / name).touch()
        with pytest.raises(StokerError, match=f"{name} is empty"):
            made(plan_directory(folder))
        (folder / name).unlink()
    with pytest.raises(StokerError, match=r"cannot be called 'C:m\.gguf'"):
        made(plan_gguf(tiny_gguf(tmp_path / "C:m.gguf")))


def test_a_variant_keeps_what_it_does_not_change(tmp_path: Path) -> None:
    (tmp_path / "old.jinja").write_text("old")
    (tmp_path / "new.jinja").write_text("new")
    (tmp_path / "LICENSE").write_text("mine")
    plan = with_extras(
        plan_gguf(tiny_gguf(tmp_path / "m.gguf")), Extras(chat_template=tmp_path / "old.jinja")
    )
    first = made(plan)
    raw = json.loads(first.config)
    raw["config"]["format_version"] = "3"
    config = json.dumps(raw).encode()
    extras = Extras(
        context_size=16, chat_template=tmp_path / "new.jinja", licenses=(tmp_path / "LICENSE",)
    )
    variant = repackaged(first.manifest, config, extras)
    assert [name for _, name in kinds(variant)] == ["m.gguf", "LICENSE", "new.jinja"]
    assert len(variant.files) == 2
    written = json.loads(variant.config)
    assert written["config"]["context_size"] == 16
    assert written["config"]["format_version"] == "3"
    assert written["descriptor"] == {"created": WHEN}
    assert len(written["rootfs"]["diff_ids"]) == 3
    pack = repackaged(first.manifest, first.config, Extras(), modelpack=True)
    assert pack.manifest.artifact_type == mt.CNCF_ARTIFACT
    assert [layer.digest for layer in pack.manifest.layers] == [
        layer.digest for layer in first.manifest.layers
    ]
    with pytest.raises(StokerError, match="no place for a context size"):
        repackaged(pack.manifest, pack.config, Extras(context_size=1))


@pytest.mark.parametrize("modelpack", [False, True])
def test_a_variant_has_one_template_and_one_projector(tmp_path: Path, *, modelpack: bool) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / f"{folder.name}.jinja").write_text(folder.name)
        projector(folder / f"{folder.name}-mmproj.gguf")
    extras = [Extras(mmproj=f / f"{f.name}-mmproj.gguf", chat_template=f / f"{f.name}.jinja")
              for f in (old, new)]  # fmt: skip
    first = made(with_extras(plan_gguf(tiny_gguf(tmp_path / "m.gguf")), extras[0]),
                 modelpack=modelpack)  # fmt: skip
    names = [name for _, name in kinds(repackaged(first.manifest, first.config, extras[1]))]
    assert names == ["m.gguf", "new-mmproj.gguf", "new.jinja"]


def test_two_new_files_of_a_variant_differ_in_name(tmp_path: Path) -> None:
    licenses = tmp_path / "a" / "LICENSE", tmp_path / "b" / "LICENSE"
    for path in licenses:
        path.parent.mkdir()
        path.write_text(str(path))
    first = made(plan_gguf(tiny_gguf(tmp_path / "m.gguf")))
    with pytest.raises(StokerError, match="both be called 'LICENSE'"):
        repackaged(first.manifest, first.config, Extras(licenses))


def test_a_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 4_000_000)

    seen: list[int] = []

    def grow(count: int) -> None:
        if not seen:
            with path.open("ab") as file:
                file.write(b"y")
        seen.append(count)

    with pytest.raises(StokerError, match="changed while it was being read"):
        file_layer(path, mt.DOCKER_LICENSE, hashed=grow)


def test_one_failure_stops_the_reading_of_all_files(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(1 << 32)  # seconds to hash
    wanted = [Wanted(path, path.name, mt.DOCKER_LICENSE) for path in (tmp_path / "none", big)]
    began = time.monotonic()
    with pytest.raises(StokerError, match="no such file"):
        file_layers(wanted, created=WHEN)
    assert time.monotonic() - began < 1.0
