"""Files become models: the real command line, daemon, registry and engine."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import oras.client
import pytest

from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest, manifest_bytes
from tests.components.daemon import STOKER, Daemon, run_cli, running_daemon
from tests.components.oci_registry import (
    RunningRegistry,
    oci_registry,
    seed_blob,
    seed_manifest,
    skopeo,
)
from tests.components.tiny_models import bad_models, chat_model


def call(url: str, body: bytes | None = None, method: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon without any model."""
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def without_models(empty: Daemon) -> Iterator[None]:
    yield
    # As `unload --all` and `purge` do it, without starting two programs after every test.
    call(f"{empty.url}/engines/unload", b'{"all":true}')
    call(f"{empty.url}/models/purge", method="DELETE")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with oci_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_model(tmp_path_factory.mktemp("files") / "tiny-F32.gguf")


def test_package_push_pull_run(empty: Daemon, registry: RunningRegistry, model: Path) -> None:
    name = f"localhost:{registry.port}/me/x:q8"
    model.chmod(0o640)
    packaged = empty.cli("package", "--gguf", str(model), "--push", "--json", name)
    assert packaged.returncode == 0, packaged.stderr
    assert model.stat().st_mode & 0o777 == 0o640, "only a model that stays shares the file"
    made = json.loads(packaged.stdout)
    assert empty.cli("list", "-q").stdout == "", "pushed only: nothing stays here"
    pulled = empty.cli("pull", name)
    assert pulled.returncode == 0, pulled.stderr
    found = json.loads(empty.cli("inspect", name).stdout)
    assert found["id"] == made["id"]
    assert found["config"]["architecture"] == "llama"
    assert found["config"]["context_size"] == 4096
    run = empty.cli("run", name, "hello")
    assert run.returncode == 0, run.stderr
    empty.cli("unload", "--all")
    assert f"Deleted: {made['id']}" in empty.cli("rm", name).stdout


def test_save_and_load(empty: Daemon, model: Path, tmp_path: Path) -> None:
    for name in ("me/a:1", "me/b:2"):
        done = empty.cli("package", "--gguf", str(model), "--context-size", "9", name)
        assert done.returncode == 0, done.stderr
    lines = [line.split() for line in empty.cli("df", "-v").stdout.splitlines()]
    assert [line[0] for line in lines if line and line[0].startswith("me/")] == ["me/a:1", "me/b:2"]
    file = tmp_path / "models.tar"
    saved = empty.cli("save", "me/a:1", "me/b:2", "-o", str(file))
    assert saved.returncode == 0, saved.stderr
    before = json.loads(empty.cli("inspect", "me/a:1").stdout)
    empty.cli("rm", "--force", before["id"])
    loaded = empty.cli("load", "-i", str(file))
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(empty.cli("inspect", "me/b:2").stdout) == before
    empty.cli("rm", "--force", before["id"])


def test_one_name_for_a_file_of_two_models(empty: Daemon, model: Path, tmp_path: Path) -> None:
    names, file = ("me/two:7", "me/two:8"), str(tmp_path / "two.tar")
    for name in names:
        size = name[-1]
        assert empty.cli("package", "--gguf", str(model), "--context-size", size, name).stdout
    assert empty.cli("save", *names, "-o", file).returncode == 0
    for name in names:
        empty.cli("rm", name)
    loaded = empty.cli("load", "-i", file, "me/one")
    assert loaded.returncode == 1
    assert "has 2 models" in loaded.stderr
    assert "nothing of it was listed" not in loaded.stderr
    for name in names:  # as it says, they are here under their own
        assert empty.cli("rm", name).returncode == 0


def test_export_load_repackage_purge(empty: Daemon, model: Path) -> None:
    assert empty.cli("package", "--gguf", str(model), "me/c").returncode == 0
    with urllib.request.urlopen(f"{empty.url}/models/me/c/export") as answer:
        assert answer.headers["Content-Type"] == "application/x-tar"
        data = answer.read()
        assert len(data) == int(answer.headers["Content-Length"])
    before = json.loads(empty.cli("inspect", "me/c").stdout)
    with urllib.request.urlopen(
        urllib.request.Request(f"{empty.url}/models/purge", method="DELETE")
    ) as answer:
        assert answer.read() == b""
    assert empty.cli("list", "-q").stdout == ""
    loaded = urllib.request.urlopen(f"{empty.url}/models/load", data).read()
    assert b'"message":"Model loaded successfully"' in loaded
    assert empty.cli("tag", before["id"], "me/c").returncode == 0
    assert json.loads(empty.cli("inspect", "me/c").stdout) == before
    body = json.dumps({"target": "me/c:small", "context_size": 77}).encode()
    answer = urllib.request.urlopen(f"{empty.url}/models/me/c/repackage", body)
    assert answer.status == 201
    small = json.loads(empty.cli("inspect", "me/c:small").stdout)
    assert small["config"]["context_size"] == 77
    assert small["id"] != before["id"]


def test_a_daemon_elsewhere_gets_the_bytes(
    empty: Daemon, registry: RunningRegistry, model: Path, tmp_path: Path
) -> None:
    """Another home: nothing tells this command line that the daemon is on the same machine."""
    env = {**empty.env, "STOKER_HOME": str(tmp_path)}
    packaged = run_cli(env, "package", "--gguf", str(model), "--json", "me/remote")
    assert packaged.returncode == 0, packaged.stderr
    made = json.loads(packaged.stdout)["id"]
    assert json.loads(empty.cli("inspect", "me/remote").stdout)["id"] == made
    small = run_cli(env, "package", "--from", "me/remote", "--context-size", "5", "me/remote:small")
    assert small.returncode == 0, small.stderr
    variant = json.loads(empty.cli("inspect", "me/remote:small").stdout)
    assert variant["config"]["context_size"] == 5
    assert empty.cli("rm", "me/remote:small").returncode == 0
    name = f"localhost:{registry.port}/me/remote:1"
    pushed = run_cli(env, "package", "--gguf", str(model), "--push", name)
    assert pushed.returncode == 0, pushed.stderr
    assert name not in empty.cli("list", "--json").stdout
    file = tmp_path / "m.tar"
    assert run_cli(env, "save", "me/remote", "-o", str(file)).returncode == 0
    assert empty.cli("rm", "me/remote").returncode == 0
    assert run_cli(env, "load", "-i", str(file)).returncode == 0
    assert empty.cli("rm", made).returncode == 0
    for command in (("verify",), ("prune",), ("import", str(model))):
        done = run_cli(env, *command)
        assert done.returncode == 1
        assert "not the service of this user" in done.stderr
    file.write_bytes(b"no archive" * 1000)
    refused = run_cli(env, "load", "-i", str(file))
    assert refused.returncode == 1
    assert "not a tar archive" in refused.stderr


def test_strangers_keep_the_digest(
    empty: Daemon, registry: RunningRegistry, model: Path, tmp_path: Path
) -> None:
    name, copied = f"localhost:{registry.port}/me/s:1", f"localhost:{registry.port}/me/copied:1"
    packaged = empty.cli("package", "--gguf", str(model), "--push", "--keep", "--json", name)
    made = json.loads(packaged.stdout)["id"]
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    skopeo(tmp_path, "copy", *insecure, f"docker://{name}", f"docker://{copied}")
    client = oras.client.OrasClient(hostname=f"localhost:{registry.port}", insecure=True)
    (weights,) = client.pull(target=copied, outdir=str(tmp_path / "out"))
    assert Path(weights).read_bytes() == model.read_bytes()
    assert empty.cli("rm", name).returncode == 0
    assert empty.cli("pull", copied).returncode == 0
    assert json.loads(empty.cli("inspect", copied).stdout)["id"] == made
    assert empty.cli("rm", copied).returncode == 0


def test_a_variant_of_a_model(empty: Daemon, model: Path, tmp_path: Path) -> None:
    assert empty.cli("package", "--gguf", str(model), "me/base").returncode == 0
    (tmp_path / "LICENSE").write_text("mine")
    extra = ("--license", str(tmp_path / "LICENSE"))
    done = empty.cli("package", "--from", "me/base", "--context-size", "64", *extra, "me/small")
    assert done.returncode == 0, done.stderr
    small = json.loads(empty.cli("inspect", "me/small").stdout)
    assert small["config"]["context_size"] == 64
    pack = empty.cli("package", "--from", "me/base", "--format", "cncf", "me/pack")
    assert pack.returncode == 0, pack.stderr
    assert empty.cli("run", "me/pack", "hello").returncode == 0
    empty.cli("unload", "--all")
    assert empty.cli("verify", "me/small").returncode == 0
    for name in ("me/base", "me/small", "me/pack"):
        assert empty.cli("rm", name).returncode == 0


def test_a_failed_push_keeps_the_work(empty: Daemon, model: Path) -> None:
    name = f"localhost:{empty.port}/me/lost:1"  # no registry, but something that answers
    done = empty.cli("package", "--gguf", str(model), "--push", name)
    assert done.returncode == 1
    assert f"push {name}" in done.stderr
    assert empty.cli("rm", name).returncode == 0


def test_import_verify_prune(empty: Daemon, tmp_path: Path) -> None:
    path = chat_model(tmp_path / "Tiny Chat.gguf", architecture="zebra9")
    dry = empty.cli("import", "-n", str(path))
    assert dry.stdout.startswith("tiny-chat ")
    assert empty.cli("list", "-q").stdout == ""
    done = empty.cli("import", str(path))
    assert done.returncode == 0, done.stderr
    assert "nothing copied" in done.stdout
    identifier = json.loads(empty.cli("inspect", "tiny-chat").stdout)["id"]
    other = ("package", "--from", "tiny-chat", "--context-size", "64", "me/other")
    assert empty.cli(*other).returncode == 0
    assert empty.cli("verify").stdout.startswith("2 model(s) are whole")
    assert empty.cli("verify", "me/other").stdout.startswith("1 model(s) are whole")
    with path.open("r+b") as file:  # root, and whoever makes it writable again, can
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    damaged = empty.cli("verify", "tiny-chat")
    assert damaged.returncode == 1
    assert "is not what its name says" in damaged.stdout
    assert empty.cli("verify", "--repair").returncode == 0
    assert empty.cli("inspect", identifier).returncode == 1
    pruned = empty.cli("prune")
    assert "Total reclaimed space" in pruned.stdout
    assert empty.cli("verify").returncode == 0


def test_import_of_docker_model_runners_store(empty: Daemon, model: Path, tmp_path: Path) -> None:
    """Both stores are OCI content by digest: one can be made of the other's files."""
    packaged = empty.cli("package", "--gguf", str(model), "--json", "me/dmr")
    identifier = json.loads(packaged.stdout)["id"]
    theirs, ours = tmp_path / "docker", empty.home / "models"
    shutil.copytree(ours / "blobs", theirs / "blobs")
    shutil.copytree(ours / "blobs", theirs / "manifests")
    tags = ["docker.io/ai/tiny:latest", "docker.io/me/tiny:v1"]
    index = {"models": [{"id": identifier, "tags": tags, "files": []}]}
    (theirs / "models.json").write_text(json.dumps(index))
    (theirs / "layout.json").write_text('{"version":"1.0.0"}')
    assert empty.cli("purge", "--force").returncode == 0
    done = empty.cli("import", str(theirs))
    assert done.returncode == 0, done.stderr
    found = json.loads(empty.cli("inspect", "me/tiny:v1").stdout)
    assert (found["id"], found["tags"]) == (identifier, tags)


BAD_INPUT = {
    "no source": (("package", "me/x"), "exactly one of"),
    "two sources": (("package", "--gguf", "a", "--from", "b", "me/x"), "exactly one of"),
    "an empty source": (("package", "--safetensors", "", "me/x"), "exactly one of"),
    "no such file": (("package", "--gguf", "/none.gguf", "me/x"), "/none.gguf: no such file"),
    "a device": (("package", "--gguf", "/dev/zero", "me/x"), "not a regular file"),
    "bad name": (("package", "--gguf", "{model}", "A B"), "invalid model reference"),
    "a digest": (("package", "--gguf", "{model}", "me/x@sha256:" + "0" * 64), "names a digest"),
    "bad format": (("package", "--gguf", "{model}", "--format", "zip", "x"), "--format value"),
    "no place": (
        ("package", "--gguf", "{model}", "--format", "cncf", "--context-size", "9", "x"),
        "cannot be used with --format cncf",
    ),
    "huge context": (
        ("package", "--gguf", "{model}", "--context-size", "99999999999", "x"),
        "invalid context size",
    ),
    "no model": (("package", "--from", "me/none", "me/x"), "me/none: model not found"),
    "save nothing": (("save", "me/none", "-o", "/tmp/x.tar"), "model not found"),
    "save nowhere": (("save", "me/none"), "no file to write to"),
    "load nothing": (("load", "-i", "/none.tar"), "no such file"),
    "load a model": (("load", "-i", "{model}"), "not a tar archive"),
    "import nothing": (("import", "/none"), "no such file"),
    "verify nothing": (("verify", "me/none"), "model not found"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_line(empty: Daemon, model: Path, case: str) -> None:
    arguments, words = BAD_INPUT[case]
    done = empty.cli(*(text.format(model=model) for text in arguments))
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "this is a bug" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["truncated tensors", "garbage", "empty", "html"])
def test_files_that_are_no_models(empty: Daemon, tmp_path: Path, kind: str) -> None:
    path = bad_models(tmp_path)[kind]
    done = empty.cli("package", "--gguf", str(path), "me/x")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path}")
    assert empty.cli("list", "-q").stdout == ""


def test_a_full_disk(empty: Daemon, tmp_path: Path) -> None:
    """A file size limit is a disk that is full after so many bytes."""
    path = chat_model(tmp_path / "m.gguf")
    limited = f"ulimit -f 64; exec {' '.join(STOKER)} package --copy --gguf {path} me/full"
    done = subprocess.run(
        ["bash", "-c", limited], env=dict(empty.env), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "hint: free some space" in done.stderr
    assert empty.cli("list", "-q").stdout == ""
    assert empty.cli("verify").returncode == 0


def test_texts_of_the_api_are_dockers(empty: Daemon) -> None:
    models = f"{empty.url}/models"
    assert call(f"{models}/me/none/export") == (404, "get model '\"me/none\"': model not found\n")
    status, text = call(f"{models}/load", b"no archive" * 500_000)
    assert status >= 400
    assert text.startswith("error while loading model: tar: not a tar archive")
    assert call(f"{models}/me/none/repackage", b"{}") == (400, "target is required\n")
    status, text = call(f"{models}/me/none/repackage", b"{")
    assert (status, text) == (400, "invalid request body\n")
    target = b'{"target":"me/x"}'
    assert call(f"{models}/me/none/repackage", target) == (404, "model not found\n")
    assert call(f"{models}/purge", method="DELETE") == (200, "")


def test_a_config_from_the_future(empty: Daemon, registry: RunningRegistry) -> None:
    config = b"{}"
    kind = "application/vnd.docker.ai.model.config.v9+json"
    described = Descriptor.of(config, kind)
    seed_blob(registry.host, "me/future", described.digest, config)
    manifest = manifest_bytes(Manifest(described, ()))
    seed_manifest(registry.host, "me/future", manifest, mt.OCI_MANIFEST, "latest")
    name = f"localhost:{registry.port}/me/future"
    status, text = call(f"{empty.url}/models/create", json.dumps({"from": name}).encode())
    assert status == 422
    assert f'config type "{kind}" is not supported (supported: "' in text
    assert text.endswith(" - try upgrading: unsupported model config media type\n")
    assert "hint: " in empty.cli("pull", name).stderr


def test_kill_while_loading_leaves_nothing_visible(
    empty: Daemon, model: Path, tmp_path: Path
) -> None:
    assert empty.cli("package", "--gguf", str(model), "me/k").returncode == 0
    file = tmp_path / "k.tar"
    assert empty.cli("save", "me/k", "-o", str(file)).returncode == 0
    assert empty.cli("rm", "me/k").returncode == 0
    data = file.read_bytes()
    process = subprocess.Popen([*STOKER, "load"], env=dict(empty.env), stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(data[: len(data) // 2])
    process.stdin.flush()
    partials = empty.home / "models" / ".stoker" / "ingest"
    deadline = time.monotonic() + 20
    while not any(partials.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdin.close()
    assert empty.cli("list", "-q").stdout == ""
    assert empty.cli("verify").returncode == 0
    piped = subprocess.run(
        [*STOKER, "load"], env=dict(empty.env), input=data, capture_output=True, check=False
    )
    assert piped.returncode == 0, piped.stderr
    assert b"Loaded me/k" in piped.stdout
