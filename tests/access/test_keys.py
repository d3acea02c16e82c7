"""The list of keys: hashed, private, safe for several processes."""

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from stoker.access import KeyFile, KeyRing
from stoker.access.keys import fingerprint
from stoker.base.errors import (
    Conflict,
    CorruptStore,
    InvalidReference,
    InvalidSetting,
    NotFound,
)


def ring_of(file: KeyFile) -> KeyRing:
    return KeyRing(file, default_registry="docker.io")


def test_only_a_hash_is_kept_and_only_for_us(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    secrets = {file.add(name) for name in ("a", "b")}
    assert len(secrets) == 2
    for secret in secrets:
        assert secret.startswith("stk_")
        assert len(secret) == len("stk_") + 43  # 256 bits
        for path in tmp_path.iterdir():
            assert secret not in path.read_text()
            assert secret[4:] not in path.read_text()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {key.sha256 for key in file.read()} == {fingerprint(secret) for secret in secrets}


def test_a_ring_sees_changes_at_once(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    ring = ring_of(file)
    assert not ring
    secret = file.add("ci", ["pilot", "hf.co/Org/Model:Q4"], 3)
    assert ring
    caller = ring.find(secret)
    assert caller is not None
    assert (caller.name, caller.concurrency, caller.tenant) == ("key ci", 3, "key ci")
    assert caller.models == frozenset(["docker.io/ai/pilot:latest", "huggingface.co/org/model:Q4"])
    for wrong in ("", secret[:-1], secret + "a", secret.upper(), "stk_" + "A" * 43, "é\ud800"):
        assert ring.find(wrong) is None
    everything = file.add("admin")
    assert (found := ring.find(everything)) is not None
    assert (found.models, found.tenant) == (None, "")
    file.remove("ci")
    assert ring.find(secret) is None
    assert ring.find(everything) is not None
    file.remove("admin")
    assert not ring


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 65, "a\n", "é"])
def test_names_that_no_key_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSetting):
        KeyFile(tmp_path / "keys.json").add(name)
    assert not (tmp_path / "keys.json").exists()


def test_wrong_wishes_are_refused(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    file.add("a")
    with pytest.raises(Conflict, match="a key named a already"):
        file.add("a")
    with pytest.raises(NotFound, match="no such key: b"):
        file.remove("b")
    with pytest.raises(InvalidReference):
        file.add("b", ["a//b"])
    with pytest.raises(InvalidSetting, match="not for one content"):
        file.add("b", [f"pilot@sha256:{'0' * 64}"])
    with pytest.raises(InvalidSetting, match="-1 requests"):
        file.add("b", concurrency=-1)
    assert [key.name for key in file.read()] == ["a"]


@pytest.mark.parametrize("content", ["", "{}", "[{}]", "not json", '[{"name": 1}]'])
def test_a_broken_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    file = KeyFile(tmp_path / "keys.json")
    secret = file.add("a")
    ring = ring_of(file)
    assert ring.find(secret)
    file.path.write_text(content)
    for _ in range(2):
        with pytest.raises(CorruptStore, match="not readable as a list of keys"):
            ring.find(secret)


def _add_many(path: Path, who: str) -> None:
    for number in range(20):
        KeyFile(path).add(f"{who}-{number}")


def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_many, args=(path, who)) for who in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    names = {key["name"] for key in json.loads(path.read_text())}
    assert names == {f"{who}-{number}" for who in "abc" for number in range(20)}
