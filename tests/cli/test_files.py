"""Files that commands write and read: what was there before, and what is left behind."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stoker.cli.filenames import file_path
from stoker.distribution.bundled import pilot_file
from tests.cli.conftest import Stoker

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
