"""A model that brings code: taken along only when asked for, run only when somebody consents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker.engines.sample_model import write_sample
from tests.components.daemon import Daemon, running_daemon
from tests.components.http import ask

NAME = "test/zebra"
CODE = "from transformers import LlamaConfig\n\n\nclass ZebraConfig(LlamaConfig):\n    pass\n"


@pytest.fixture(scope="module")
def zebra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sample(tmp_path_factory.mktemp("files") / "zebra")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_zebra.ZebraConfig"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_zebra.py").write_text(CODE)
    return folder


@pytest.fixture(scope="module")
def by_tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        assert daemon.cli("pull", "pilot").returncode == 0
        yield daemon


@pytest.fixture
def own(by_tcp: Daemon, zebra: Path) -> Iterator[Daemon]:
    """The same daemon by its own socket, with the model and no consent."""
    by_socket = {**by_tcp.env, "STOKER_HOST": f"unix://{by_tcp.home}/run/stoker.sock"}
    own = Daemon(by_tcp.home, by_tcp.port, by_tcp.process, by_socket)
    done = own.cli("package", "--copy", "--safetensors", str(zebra), "--allow-code", NAME)
    assert done.returncode == 0, done.stderr
    assert (
        "note: took configuration_zebra.py: program code, never run without consent" in done.stderr
    )
    yield own
    own.cli("rm", "-f", NAME)


def inspected(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(daemon.cli("inspect", NAME).stdout)
    return found


def consent(daemon: Daemon, digest: str) -> tuple[int, str]:
    done = daemon.cli("configure", NAME, "--trust-remote-code", digest)
    return done.returncode, done.stderr


def setting(daemon: Daemon) -> tuple[object, str]:
    shown = json.loads(daemon.cli("configure", "show", NAME, "--json").stdout)
    one = shown["settings"]["trust-remote-code"]
    return one["value"], one["origin"]


def code_in_views(daemon: Daemon) -> list[str]:
    return [path.name for path in (daemon.home / "models" / ".stoker" / "views").rglob("*.py")]


def test_without_being_asked_code_stays_out(own: Daemon, zebra: Path) -> None:
    done = own.cli("package", "--copy", "--safetensors", str(zebra), "test/plain")
    assert "note: left out configuration_zebra.py: it is program code" in done.stderr
    plain = json.loads(own.cli("inspect", "test/plain").stdout)
    assert "code" not in plain
    done = own.cli("configure", "test/plain", "--trust-remote-code", plain["id"])
    assert done.returncode == 1
    assert "test/plain brings no code" in done.stderr
    own.cli("rm", "test/plain")


def test_given_and_taken_back(own: Daemon) -> None:
    model = inspected(own)
    assert [file["path"] for file in model["code"]] == ["configuration_zebra.py"]
    assert "trusted" not in model
    assert setting(own) == (False, "default")
    assert code_in_views(own) == []
    assert "brings Python code, which is never run without" in own.cli("list").stderr
    assert "configuration_zebra.py (never run" in own.cli("show", NAME).stdout

    assert consent(own, model["id"]) == (0, "")
    assert inspected(own)["trusted"] is True
    assert setting(own) == (model["id"], "configure")
    assert code_in_views(own) == ["configuration_zebra.py"]
    assert "may run: you have consented" in own.cli("list").stderr
    # Settings are replaced as a whole; a consent is not one of them.
    assert own.cli("configure", NAME, "--context-size", "128").returncode == 0
    assert setting(own) == (model["id"], "configure")

    assert consent(own, "none") == (0, "")
    assert setting(own) == (False, "default")
    assert code_in_views(own) == []

    lines = [json.loads(line) for line in own.cli("logs", "--audit").stdout.splitlines()]
    mine = [line for line in lines if line["action"].endswith("/trust-remote-code")]
    assert [line["action"].split()[0] for line in mine[-2:]] == ["POST", "DELETE"]
    assert mine[-2]["what"] == {"digest": model["id"]}
    assert {line["result"] for line in mine[-2:]} == {200}


def test_it_survives_the_daemon_and_follows_no_name(
    own: Daemon, zebra: Path, tmp_path: Path
) -> None:
    digest = inspected(own)["id"]
    assert consent(own, digest[:19]) == (0, "")
    kept = json.loads((own.home / "consents.json").read_text())
    assert kept == [digest]
    other = write_sample(tmp_path / "other", seed=8)
    (other / "configuration_zebra.py").write_text(CODE)
    done = own.cli("package", "--copy", "--safetensors", str(other), "--allow-code", NAME)
    assert done.returncode == 0, done.stderr
    assert inspected(own)["id"] != digest
    assert setting(own) == (False, "default")
    code, words = consent(own, digest)
    assert code == 1
    assert f"{digest} is not {NAME}" in words
    assert "look at its code again" in words


def test_a_model_that_was_removed_comes_back_without(own: Daemon, zebra: Path) -> None:
    digest = inspected(own)["id"]
    assert consent(own, digest) == (0, "")
    assert own.cli("rm", NAME).returncode == 0
    own.cli("package", "--copy", "--safetensors", str(zebra), "--allow-code", NAME)
    assert inspected(own)["id"] == digest
    assert setting(own) == (False, "default")
    assert json.loads((own.home / "consents.json").read_text()) == []


def test_refused_by_tcp_whatever_the_key(by_tcp: Daemon, own: Daemon) -> None:
    digest = inspected(own)["id"]
    code, words = consent(by_tcp, digest)
    assert code == 1
    assert "can be consented to only by this user, on this machine" in words
    boss = own.cli("key", "add", "boss").stdout.strip()
    guest = own.cli("key", "add", "guest", "--model", NAME).stdout.strip()
    path = f"/models/{NAME}/trust-remote-code"
    try:
        for key, status in ((boss, 403), (guest, 403), ("", 401)):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert ask(by_tcp, "POST", path, {"digest": digest}, headers).status == status
        assert "trusted" not in inspected(own)
        assert consent(own, digest) == (0, "")
        # To take it back, a key that may manage is enough.
        refused = ask(by_tcp, "DELETE", path, headers={"Authorization": f"Bearer {guest}"})
        assert refused.status == 403
        done = ask(by_tcp, "DELETE", path, headers={"Authorization": f"Bearer {boss}"})
        assert done.status == 200
        assert "trusted" not in inspected(own)
    finally:
        own.cli("key", "rm", "boss")
        own.cli("key", "rm", "guest")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pilot", "--trust-remote-code", "sha256:" + "0" * 64), 1, "is gguf: llama.cpp runs no"),
        ((NAME, "--trust-remote-code", "yes"), 1, "a consent names the digest of the model"),
        ((NAME, "--trust-remote-code", "none", "--context-size", "9"), 2, "goes alone"),
        (("no/such", "--trust-remote-code", "none"), 1, "model not found"),
        ((NAME, "--", "--trust-remote-code"), 1, "is not allowed for backend"),
    ],
)
def test_bad_input(own: Daemon, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = own.cli("configure", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "trusted" not in inspected(own)


def test_allow_code_is_for_directories(own: Daemon) -> None:
    done = own.cli("package", "--gguf", "x.gguf", "--allow-code", "test/x")
    assert done.returncode == 2
    assert "--allow-code makes sense only with --safetensors" in done.stderr
