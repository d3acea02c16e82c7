"""Files that commands write and read: what was there before, and what is left behind."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.cli.filenames import file_path
from stoker.distribution.artifact import store_artifact
from stoker.distribution.bundled import pilot_file
from stoker.distribution.package import build
from stoker.distribution.package_gguf import plan_gguf
from stoker.oci import mediatypes as mt
from stoker.oci.reference import parse_reference
from stoker.store import Store
from tests.cli.conftest import Stoker
from tests.distribution.files import tiny_gguf

NAME = "me/pilot"


@pytest.fixture(autouse=True)
def model(stoker: Stoker) -> None:
    assert stoker("package", "--copy", "--gguf", str(pilot_file()), NAME).code == 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def test_a_pipe_stays_a_pipe(stoker: Stoker, place: Path) -> None:
    pipe = place / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert stoker("save", NAME, "-o", str(pipe)).code == 0
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    reader.join(10)
    assert stoker("save", NAME, "-o", str(place / "file")).code == 0
    assert read == [(place / "file").read_bytes()]


def test_a_link_stays_a_link(stoker: Stoker, place: Path) -> None:
    target, link = place / "disk" / "model.tar", place / "model.tar"
    target.parent.mkdir()
    link.symlink_to(target)
    for _ in ("to nothing yet", "to a file"):
        assert stoker("save", NAME, "-o", str(link)).code == 0
        assert link.is_symlink()
        assert target.stat().st_size > pilot_file().stat().st_size
    assert [path.name for path in target.parent.iterdir()] == ["model.tar"]


def test_no_other_file_is_written_to(stoker: Stoker, place: Path) -> None:
    mine = place / ".model.tar.part"
    mine.write_text("mine")
    assert stoker("save", NAME, "-o", str(place / "model.tar")).code == 0
    assert mine.read_text() == "mine"
    longest = place / ("a" * 255)
    assert stoker("save", NAME, "-o", str(longest)).code == 0
    assert {path.name for path in place.iterdir()} == {mine.name, "model.tar", longest.name}


def test_it_says_which_model_is_not_here(stoker: Stoker, place: Path) -> None:
    said = stoker("save", NAME, "me/other", "-o", str(place / "model.tar")).err
    assert "error: me/other: model not found" in said
    assert [*place.iterdir()] == []
    assert "error: me/other: model not found" in stoker("verify", "me/other").err


def test_a_home_that_nobody_has_is_a_name() -> None:
    assert file_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert file_path("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    "words",
    [
        ["import", "~nobody-of-this-name/x"],
        ["load", "-i", "~nobody-of-this-name/x"],
        ["package", "--gguf", "~nobody-of-this-name/x", "me/x"],
        ["save", NAME, "-o", "~nobody-of-this-name/x"],
    ],
)
def test_no_command_stumbles_over_it(words: list[str], stoker: Stoker) -> None:
    outcome = stoker(*words)
    assert outcome.code == 1
    assert "~nobody-of-this-name/x" in outcome.err
    assert "bug" not in outcome.err


def test_a_digest_cannot_be_given(stoker: Stoker, place: Path) -> None:
    file, name = place / "model.tar", f"me/x@sha256:{64 * 'a'}"
    assert stoker("save", NAME, "-o", str(file)).code == 0
    for words in (["import", str(pilot_file()), name], ["load", "-i", str(file), name]):
        outcome = stoker(*words)
        assert (outcome.code, outcome.out) == (1, "")
        assert "names a digest" in outcome.err


def test_json_lists_only_what_was_imported(stoker: Stoker, place: Path) -> None:
    blobs, manifests = place / "blobs", place / "manifests/registry.ollama.ai/library/m"
    blobs.mkdir()
    manifests.mkdir(parents=True)
    digest = 64 * "a"
    (blobs / f"sha256-{digest}").write_bytes(pilot_file().read_bytes())
    (manifests / "1b").write_text(
        '{"layers":[{"mediaType":"application/vnd.ollama.image.model",'
        f'"digest":"sha256:{digest}","size":1}}]}}'
    )
    outcome = stoker("import", "--copy", "--json", str(place))
    assert (outcome.code, outcome.out) == (1, "[]\n")
    assert "not what its name says" in outcome.err


def test_ctrl_c_ends_a_load_from_a_silent_pipe(stoker: Stoker, place: Path, tmp_path: Path) -> None:
    file, home = place / "model.tar", tmp_path / "other"
    assert stoker("save", NAME, "-o", str(file)).code == 0
    partials = home / "models" / ".stoker" / "ingest"
    with subprocess.Popen(
        [sys.executable, "-m", "stoker.cli.main", "load"],
        stdin=subprocess.PIPE, env={**os.environ, "STOKER_HOME": str(home)},
    ) as program:  # fmt: skip
        assert program.stdin
        program.stdin.write(file.read_bytes()[:-100_000])
        program.stdin.flush()
        deadline = time.monotonic() + 20
        while not (partials.is_dir() and any(p.stat().st_size for p in partials.iterdir())):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        # Its pipe is still open, and nothing more comes.
        assert program.wait(20) == 130
    assert [*partials.iterdir()] == [], "what cannot be gone on with takes no space"


def test_after_two_dashes_there_are_no_flags(stoker: Stoker) -> None:
    assert stoker("verify", "--", NAME).code == 0
    assert "at most 1 argument" in stoker("verify", NAME, "--", "--repair").err


@pytest.fixture
def quantizer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that copies: what it is told is what counts here."""
    program = place / "bin" / "llama-quantize"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncase "$1" in -*) exit 9;; esac\nexec cp "$1" "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@pytest.mark.usefixtures("quantizer")
@pytest.mark.parametrize(
    "name", ["ABSOLUTE", "../../../../files/m-F16.gguf", "q/m-F16.gguf", "a\0"]
)
def test_no_publisher_chooses_where_a_quantized_file_goes(
    name: str, stoker: Stoker, place: Path, tmp_path: Path
) -> None:
    mine = place / "m-Q8_0.gguf"
    mine.write_text("mine")
    path = str(place / "m-F16.gguf") if name == "ABSOLUTE" else name
    made = build(plan_gguf(tiny_gguf(tmp_path / "m-F16.gguf")), created="2026-01-01T00:00:00Z")
    (layer,) = made.files.values()
    called = replace(layer.descriptor, annotations={mt.ANNOTATION_FILEPATH: path})
    theirs = replace(made, manifest=replace(made.manifest, layers=(called,)))
    store = Store.open(tmp_path / "stoker" / "models")
    asyncio.run(store_artifact(store, theirs, parse_reference("me/theirs")))
    done = stoker("package", "--json", "--from", "me/theirs", "--quantize", "Q8_0", "me/q")
    assert done.code == 0, done.err
    annotations = json.loads(done.out)["layers"][0]["annotations"]
    plain = "m-Q8_0.gguf" if name.startswith("q/") else "model-Q8_0.gguf"
    assert annotations[mt.ANNOTATION_FILEPATH] == plain
    assert mine.read_text() == "mine"


@pytest.mark.usefixtures("quantizer")
def test_a_file_to_quantize_may_begin_with_a_dash(
    stoker: Stoker, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_gguf(place / "-m-F16.gguf")
    monkeypatch.chdir(place)
    done = stoker("package", "--gguf", "./-m-F16.gguf", "--quantize", "Q8_0", "me/dash")
    assert done.code == 0, done.err
