"""llama.cpp from an archive: downloaded from a real server, verified, proved, used, removed."""

import gzip
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.components.daemon import Daemon, run_cli, running_daemon
from tests.components.release_archive import archive, digest, release_archive, served

WHEEL = ("b11549", "wheel", True)
NOWHERE = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


@pytest.fixture(autouse=True)
def clean(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.cli("uninstall-runner", "--backend", "llama.cpp")
    assert builds(daemon) == [WHEEL]
    assert not list((daemon.home / "engines").rglob(".staging-*"))


def install(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """By the daemon's own socket, as the command line does where nobody names a host."""
    env = {name: value for name, value in daemon.env.items() if name != "STOKER_HOST"}
    return run_cli(env, "install-runner", *words, timeout=120)


def builds(daemon: Daemon) -> list[tuple[str, str, bool]]:
    found = json.loads(daemon.cli("status", "--json").stdout)["builds"]
    return [(one["version"], one["source"], one.get("active", False)) for one in found]


def test_downloaded_proved_used_removed(daemon: Daemon, tmp_path: Path) -> None:
    pinned = release_archive(tmp_path / "llama-b4242-bin.tar.gz")
    with served(tmp_path) as address:
        url = f"{address}/llama-b4242-bin.tar.gz"
        done = install(daemon, "--from", url, "--digest", pinned, "--gpu", "vulkan")
    assert done.stdout == "llama.cpp b4242 (release-vulkan) installed\n", done.stderr
    assert done.stderr.splitlines()[-2:] == ["unpacking it", "testing it"]
    assert done.stderr.startswith("downloading")
    assert builds(daemon) == [("b4242", "release-vulkan", True)]
    assert daemon.cli("run", "pilot", "What is Stoker?").stdout.strip()
    (running,) = json.loads(daemon.cli("ps", "--json").stdout)
    assert running["build"] == "b4242 (release-vulkan)"
    build = next((daemon.home / "engines" / "llama.cpp").iterdir())
    assert (build / "bin" / "libx.so.0.link").resolve() == build / "bin" / "libx.so.0"
    assert not list((daemon.home / "cache").rglob("*.tar"))
    gone = daemon.cli("uninstall-runner", "--backend", "llama.cpp", "--gpu", "vulkan")
    assert gone.returncode == 0, gone.stderr
    assert builds(daemon) == [WHEEL]


@pytest.mark.parametrize("folder", [".", "build/bin"])
def test_from_a_file_however_it_is_laid_out(daemon: Daemon, tmp_path: Path, folder: str) -> None:
    file = tmp_path / "llama.tar.gz"
    pinned = release_archive(file, folder=folder, mode=0o644)
    done = install(daemon, "--backend", "llama.cpp", "--from", str(file), "--digest", pinned)
    assert done.stdout == "llama.cpp b4242 (release) installed\n", done.stderr
    assert file.exists()
    assert daemon.cli("run", "pilot", "hi").stdout.strip()


def test_what_is_not_what_it_should_be_is_not_unpacked(daemon: Daemon, tmp_path: Path) -> None:
    release_archive(tmp_path / "llama.tar.gz")
    with served(tmp_path) as address:
        done = install(daemon, "--from", f"{address}/llama.tar.gz", "--digest", NOWHERE)
        missing = install(daemon, "--from", f"{address}/other.tar.gz", "--digest", NOWHERE)
    assert done.returncode == 1
    assert "llama.tar.gz is not what the digest says: it is sha256:" in done.stderr
    assert "unpacking" not in done.stderr
    assert not list((daemon.home / "cache").rglob("*.tar"))
    assert "answers 404 for /other.tar.gz" in missing.stderr
    assert "hint: is it the address of the archive itself?" in missing.stderr
    silent = install(daemon, "--from", f"{address}/llama.tar.gz", "--digest", NOWHERE)
    assert silent.returncode == 1
    assert "Traceback" not in silent.stderr


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"llama/readme": "x"}, "the archive has no llama-server in it"),
        ({"../llama-server": "x"}, "cannot be unpacked: '../llama-server' would be extracted"),
        ({"a/llama-server": "#!/bin/sh\nexit 3\n"}, "llama.cpp"),
    ],
)
def test_archives_that_are_no_release(
    daemon: Daemon, tmp_path: Path, files: dict[str, str], words: str
) -> None:
    file = tmp_path / "llama.tar.gz"
    done = install(daemon, "--from", str(file), "--digest", archive(file, files))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(daemon.home.rglob("llama-server"))


def test_a_file_that_is_no_archive(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "llama.zip"
    file.write_bytes(b"PK\x03\x04 and so on")
    done = install(daemon, "--from", str(file), "--digest", digest(file))
    assert "failed: llama.zip cannot be unpacked: it is no tar archive\n" in done.stderr


def test_an_archive_that_breaks_off_at_once(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "llama.tar.gz"
    file.write_bytes(gzip.compress(random.Random(1).randbytes(5000))[:60])
    done = install(daemon, "--from", str(file), "--digest", digest(file))
    assert "failed: llama.tar.gz cannot be unpacked: Compressed file ended" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "/x.tar.gz"), "an archive needs --digest sha256:..."),
        (("--from", "/x.tar.gz", "--digest", "abc"), "not a digest: 'abc'"),
        (("--from", "ftp://x/y", "--digest", NOWHERE), "'ftp://x/y' is no address of a file"),
        (("--from", "/none.tar.gz", "--digest", NOWHERE), "/none.tar.gz: No such file"),
        (("--digest", NOWHERE), "--digest goes with --from"),
        (("--backend", "vllm", "--from", "/x", "--digest", NOWHERE), "only llama.cpp is"),
    ],
)
def test_refusals(daemon: Daemon, words: tuple[str, ...], said: str) -> None:
    done = install(daemon, *words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_preferred_stays_in_use(tmp_path: Path) -> None:
    file, other = tmp_path / "vulkan.tar.gz", tmp_path / "other.tar.gz"
    words = ("--from", str(file), "--digest", release_archive(file))
    others = ("--from", str(other), "--digest", release_archive(other, folder="other"))
    with running_daemon(tmp_path, STOKER_GPU="vulkan") as daemon:
        assert install(daemon, *words, "--gpu", "vulkan").returncode == 0
        done = install(daemon, *others)
        assert done.stdout == (
            "llama.cpp b4242 (release) installed; release-vulkan comes before it and stays in use"
            " (to change that: stoker restart-runner --gpu none)\n"
        ), done.stderr
        assert builds(daemon) == [
            ("b4242", "release-vulkan", True),
            ("b4242", "release", False),
        ]
    with running_daemon(tmp_path, STOKER_GPU="none") as daemon:
        assert builds(daemon)[0] == ("b4242", "release", True)
        assert daemon.cli("run", "pilot", "hi").stdout.strip()
        (engine,) = map(psutil.Process, daemon.engine_pids())
        argv = engine.cmdline()
        assert argv[argv.index("--device") + 1] == "none"


def test_nobody_names_an_archive_through_the_network(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "llama.tar.gz"
    words = ("install-runner", "--from", str(file), "--digest", release_archive(file))
    done = daemon.cli(*words)
    assert done.returncode == 1
    assert "can be named only by this user, on this machine" in done.stderr
