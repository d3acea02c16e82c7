"""The audit log: private, bounded, without secrets, shared by processes."""

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from stoker.observe import audit
from stoker.observe.audit import AuditLog, Change, user_name


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_secrets_and_defaults_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    what = {
        "from": "pilot", "bearer-token": "hunter2", "stream": False, "note": "a\nb stk_0123456789",
        "vllm": {"hf_token": "hunter2", "x": None}, "flags": ["--api-key", "sk-0123456789"],
    }  # fmt: skip
    AuditLog(path).note(Change("user me", "POST /models/create", 200, "socket", what))
    (line,) = lines(path)
    assert list(line) == ["time", "who", "action", "result", "from", "what"]
    assert line["what"] == {
        "from": "pilot", "bearer-token": "***", "note": "a\nb stk_***", "vllm": {"hf_token": "***"},
        "flags": ["--api-key", "sk-***"],
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _note_many(path: Path, who: str, count: int) -> None:
    for number in range(count):
        AuditLog(path).note(Change(who, f"POST /{number}", 200, what={"x": "y" * 1000}))


def test_it_rotates_and_loses_nothing_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_note_many, args=(path, who, 2500)) for who in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    older = path.with_name("audit.jsonl.1")
    assert older.stat().st_size <= 4 * 1024 * 1024
    assert stat.S_IMODE(older.stat().st_mode) == 0o600
    seen = [(line["who"], line["action"]) for line in (*lines(older), *lines(path))]
    assert sorted(seen) == sorted((who, f"POST /{n}") for who in "ab" for n in range(2500))


def test_it_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(7):
        path.write_bytes(b"x" * 4 * 1024 * 1024)
        AuditLog(path).note(Change("me", "it", 200))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "audit.jsonl", *(f"audit.jsonl.{n}" for n in range(1, 5))
    ]  # fmt: skip


def test_what_cannot_be_written_is_said_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    audit.AuditLog(tmp_path / "audit.jsonl").note(Change("me", "POST /x", 200))
    assert not (tmp_path / "elsewhere").exists()
    assert "no audit line for POST /x" in caplog.text


def test_a_line_longer_than_a_file_is_written_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_MAX_BYTES", 1000)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.note(Change("user me", "POST /first", 200))
    log.note(Change("user me", "POST /long", 400, what={"x": "y" * 1500}))
    assert [line["action"] for line in lines(tmp_path / "audit.jsonl")] == ["POST /long"]
    assert [line["action"] for line in lines(tmp_path / "audit.jsonl.1")] == ["POST /first"]


def test_what_a_stranger_sends_is_cut_in_every_direction(tmp_path: Path) -> None:
    deep: object = 1
    for _ in range(2000):
        deep = {"a": [deep]}
    what = {"deep": deep, "name" * 10_000: 1, "wide": {str(n): n for n in range(10_000)}}
    AuditLog(tmp_path / "audit.jsonl").note(Change("key a", "POST /x", 400, what=what))
    (line,) = lines(tmp_path / "audit.jsonl")
    assert len(json.dumps(line)) < 10_000
    assert "..." in json.dumps(line)


def test_a_user_without_a_name_has_a_number() -> None:
    assert user_name(0) == "root"
    assert user_name(2**31 - 77) == str(2**31 - 77)
