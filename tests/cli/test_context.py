"""Named addresses: kept whole whatever happens, and honoured by every command."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Stoker
from tests.components.daemon import STOKER, environment
from tests.components.stub_daemon import Stub


@pytest.fixture
def elsewhere(daemon: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """A daemon that no variable names."""
    monkeypatch.delenv("STOKER_HOST")
    return daemon


def test_a_context_is_asked(stoker: Stoker, elsewhere: Stub) -> None:
    assert stoker("list").code == 1
    made = stoker("context", "create", "far", "--host", elsewhere.url, "--description", "a box")
    assert made.out == 'Context "far" created.\n'
    assert stoker("list").code == 1  # made is not chosen
    assert stoker("context", "show").out == "default\n"
    assert stoker("context", "use", "far").out == 'Current context is now "far".\n'
    assert stoker("context", "show").out == "far\n"
    assert "smollm2" in stoker("list").out
    assert stoker("status", "--json").out.count(elsewhere.url) == 2
    assert stoker("context", "use", "default").code == 0
    assert stoker("list").code == 1


def test_list_and_inspect(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    stoker("context", "create", "far", "--host", "http://h:1", "--description", "a box")
    stoker("context", "use", "far")
    assert stoker("context", "ls").out == (
        "NAME     HOST           DESCRIPTION                  CURRENT  \n"
        "default  (auto-detect)  The service of this machine           \n"
        "far      http://h:1     a box                        *        \n"
    )
    (seen,) = json.loads(stoker("context", "inspect", "far").out)
    assert (seen["name"], seen["host"], seen["current"]) == ("far", "http://h:1", True)
    assert seen["createdAt"].endswith("Z")
    assert json.loads(stoker("context", "list", "--json").out) == [seen]
    monkeypatch.setenv("MODEL_RUNNER_HOST", "http://other:2")
    said = stoker("context", "ls").err
    assert said == 'Warning: MODEL_RUNNER_HOST="http://other:2" overrides the active context.\n'


def test_a_variable_comes_first(stoker: Stoker, daemon: Stub) -> None:
    stoker("context", "create", "far", "--host", "http://127.0.0.1:9")
    stoker("context", "use", "far")
    assert "smollm2" in stoker("list").out


def test_remove(stoker: Stoker) -> None:
    stoker("context", "create", "far", "--host", "h:1")
    stoker("context", "use", "far")
    kept = stoker("context", "rm", "far")
    assert kept.code == 1
    assert 'context "far" is currently active; switch to another context first' in kept.err
    stoker("context", "use", "default")
    assert stoker("context", "remove", "far").out == 'Context "far" removed.\n'
    assert stoker("context", "ls").out.count("\n") == 2


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["create", "x"], 2, "--host is required"),
        (["create", "default", "--host", "h"], 1, "the name is reserved"),
        (["create", "../x", "--host", "h"], 1, "the name must be letters, digits"),
        (["create", "x", "--host", "ftp://h"], 1, "'ftp' is not one of unix, http, https"),
        (["create", "x", "--host", "h", "--tls-ca-cert", "/none"], 1, "there is no file /none"),
        (["create", "a", "b", "--host", "h"], 2, "needs the name of a context, got 2"),
        (["use", "nope"], 1, 'context "nope" does not exist'),
        (["rm"], 2, "needs the name of a context, got 0"),
        (["inspect", "nope"], 1, "there are: default"),
        (["ls", "x"], 2, "ls accepts no arguments, got 'x'"),
        (["show", "x"], 2, "show accepts no arguments, got 'x'"),
        (["frob"], 2, "unknown action: frob"),
    ],
)
def test_mistakes(stoker: Stoker, argv: list[str], code: int, words: str) -> None:
    outcome = stoker("context", *argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err


def test_twice(stoker: Stoker) -> None:
    stoker("context", "create", "x", "--host", "h")
    assert 'context "x" already exists' in stoker("context", "create", "x", "--host", "h").err


def test_nobody_there_says_who_named_it(stoker: Stoker) -> None:
    stoker("context", "create", "far", "--host", "http://127.0.0.1:9")
    stoker("context", "use", "far")
    outcome = stoker("ps")
    assert "nothing answers at http://127.0.0.1:9" in outcome.err
    assert 'context "far" names that address' in outcome.err
    assert "stoker context use default" in outcome.err
    refused = stoker("start-runner")
    assert 'context "far" names http://127.0.0.1:9, which this command does not' in refused.err
    assert "stoker context use default" in stoker("prune").err


def test_a_broken_file_is_named_and_nothing_lost(stoker: Stoker, tmp_path: Path) -> None:
    file = tmp_path / "stoker/contexts.json"
    file.parent.mkdir()
    file.write_text('{"contexts": [')
    for argv in (["list"], ["context", "ls"], ["context", "create", "x", "--host", "h"]):
        outcome = stoker(*argv)
        assert outcome.code == 1
        assert f"{file} is not readable as contexts" in outcome.err
    assert file.read_text() == '{"contexts": ['


def test_a_home_that_is_no_directory_has_no_contexts(stoker: Stoker, tmp_path: Path) -> None:
    (tmp_path / "stoker").write_text("")
    assert stoker("context", "show").out == "default\n"


def test_a_name_that_is_gone(stoker: Stoker, tmp_path: Path) -> None:
    file = tmp_path / "stoker/contexts.json"
    file.parent.mkdir()
    file.write_text('{"version": 1, "current": "gone", "contexts": {}}')
    assert 'context "gone" does not exist' in stoker("list").err
    assert stoker("context", "use", "default").code == 0


def test_many_at_once(tmp_path: Path) -> None:
    """Processes that create contexts at the same time lose none of them."""
    env = environment(tmp_path)
    names = [f"c{number}" for number in range(8)]
    running = [
        subprocess.Popen([*STOKER, "context", "create", name, "--host", "h"], env=env)
        for name in names
    ]
    assert [process.wait() for process in running] == [0] * len(names)
    kept = json.loads((tmp_path / "contexts.json").read_text())
    assert sorted(kept["contexts"]) == names
    assert {path.name for path in tmp_path.iterdir()} == {"contexts.json", "contexts.lock"}


def test_without_its_tls(stoker: Stoker, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("no certificate")
    argv = ["--host", "https://127.0.0.1:9", "--tls", "--tls-ca-cert", str(authority)]
    stoker("context", "create", "far", *argv)
    stoker("context", "use", "far")
    said = stoker("ps").err
    assert f'context "far", authority {authority}' in said
