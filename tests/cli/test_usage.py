"""Mistakes on the command line, and help for them."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from stoker.base.errors import DaemonError, StokerError
from stoker.cli.errors import EXIT_CODES, UsageError, exit_code, refusal, report
from stoker.cli.output import put_json, put_json_line
from stoker.cli.parser import Options, Parser
from stoker.cli.table import ELSEWHERE, INSTEAD, commands, find
from tests.cli.conftest import Stoker
from tests.components.stub_daemon import Stub


@pytest.mark.parametrize("command", [c for c in commands() if c.name != "help"], ids=str)
def test_every_command_has_its_module_and_its_help(command: object, stoker: Stoker) -> None:
    name = getattr(command, "name")  # noqa: B009  # parametrize hands out objects
    entry = find(name)
    assert entry is not None
    module = import_module(f"stoker.cli.commands.{entry.module}")
    assert module.__doc__
    assert issubclass(module.Options, Options)
    outcome = stoker(name, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage:  stoker {name}")
    assert stoker("help", name).out == outcome.out


def test_names_and_aliases_are_unique() -> None:
    names = [name for command in commands() for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))


def test_a_word_that_is_none_of_a_flag(stoker: Stoker) -> None:
    outcome = stoker("configure", "m", "--gpu", "x")
    assert outcome.code == 2
    # Newer versions of Python leave out the quotes.
    assert "--gpu is one of required, preferred, never\n" in outcome.err.replace("'", "")


def test_what_is_called_otherwise_elsewhere_is_here() -> None:
    for word, name in ELSEWHERE.items():
        assert find(word) is None
        assert find(name) is not None


def test_what_docker_model_has_and_this_has_not_is_in_the_handbook() -> None:
    handbook = Path(__file__).parents[2] / "docs" / "compatibility.md"
    topics = [line.split("|")[1] for line in handbook.read_text().splitlines() if line[:1] == "|"]
    for name in INSTEAD:
        assert find(name) is None
        assert any(f"`{name}`" in topic for topic in topics), f"{name} is missing in {handbook}"


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help(argv: list[str], stoker: Stoker) -> None:
    outcome = stoker(*argv)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "Usage:  stoker COMMAND" in outcome.out
    assert all(f"  {command.name} " in outcome.out for command in commands())
    assert max(len(line) for line in outcome.out.splitlines()) < 80


def test_help_says_how_it_was_called(stoker: Stoker) -> None:
    assert "docker model run pilot" in stoker("--help", program="docker model").out


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (
            ["pull"],
            (
                "'stoker pull' requires 1 argument(s).\n\nUsage:  stoker pull MODEL\n\n"
                "See 'stoker pull --help' for more information\n"
            ),
        ),
        (
            ["tag", "a"],
            (
                "'stoker tag' requires 2 argument(s).\n\nUsage:  stoker tag SOURCE TARGET\n\n"
                "See 'stoker tag --help' for more information\n"
            ),
        ),
        (
            ["rm"],
            (
                "'stoker rm' requires at least 1 argument(s).\n\nUsage:  stoker rm MODEL...\n\n"
                "See 'stoker rm --help' for more information\n"
            ),
        ),
        (
            ["list", "a", "b"],
            (
                "'stoker list' accepts at most 1 argument(s).\n\nUsage:  stoker list [MODEL]\n\n"
                "See 'stoker list --help' for more information\n"
            ),
        ),
        (
            ["ps", "x"],
            (
                "'stoker ps' accepts no arguments, got 'x'.\n\nUsage:  stoker ps\n\n"
                "See 'stoker ps --help' for more information\n"
            ),
        ),
        (["unload"], "'stoker unload' requires MODEL unless --all is specified.\n"),
        (
            ["unload", "--all", "m"],
            "'stoker unload' does not take MODEL when --all is specified.\n",
        ),
        (["configure"], "Exactly one model must be specified, got 0: []\n"),
        (["configure", "a", "b"], "Exactly one model must be specified, got 2: [a b]\n"),
        (
            ["configure", "a", "b", "--", "-x"],
            "Exactly one model must be specified before --, got 2\n",
        ),
        (["ps", "--nope=1"], "unknown flag: --nope\nhint: see 'stoker ps --help'\n"),
        (["--nope"], "unknown flag: --nope\nhint: see 'stoker --help'\n"),
        (["lst"], "unknown command: lst\nhint: did you mean 'stoker list'?\n"),
        (["start"], "unknown command: start\nhint: did you mean 'stoker start-runner'?\n"),
        (["serve", "--prot", "1"], "unknown flag: --prot\nhint: did you mean --port?\n"),
        (["run", "--system"], "--system needs a value\nhint: see 'stoker run --help'\n"),
        (["ps", "--json=x"], "--json takes no value\nhint: see 'stoker ps --help'\n"),
        (["xyzzy"], "unknown command: xyzzy\nhint: see 'stoker --help'\n"),
        (["gateway", "-c", "x"], f"unknown command: gateway\nhint: {INSTEAD['gateway']}\n"),
        (
            ["run", "pilot", "--websearch"],
            f"unknown flag: --websearch\nhint: {INSTEAD['--websearch']}\n",
        ),
        (
            ["start-runner", "--tls-port=1"],
            f"unknown flag: --tls-port\nhint: {INSTEAD['--tls-port']}\n",
        ),
        (["run", "m", "--color", "x"], '--color must be one of: auto, yes, no (got "x")\n'),
        (["run", "m", "--json"], "nothing to ask: no PROMPT, and the standard input is empty\n"),
        (
            ["inspect", "m", "--openai", "--remote"],
            "--remote flag cannot be used with --openai flag\n",
        ),
        (
            ["list", "-q", "--openai"],
            "--quiet flag cannot be used with --openai flag or OpenAI backend\n",
        ),
        (
            ["configure", "m", "--context-size", "-5"],
            "--context-size is a number of tokens, or -1 for all of them, not -5\n",
        ),
        (
            ["configure", "m", "--gpu-memory-utilization", "2"],
            "--gpu-memory-utilization must be between 0.0 and 1.0, got 2.0\n",
        ),
        (["serve", "--port", "x"], None),
        (["configure", "m", "--hf_overrides", "{"], None),
        (["docker-plugin", "x"], None),
        (["completion", "tcsh"], None),
    ],
)
def test_mistakes(argv: list[str], text: str | None, stoker: Stoker) -> None:
    outcome = stoker(*argv)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    if text is not None:
        assert outcome.err == f"error: {text}"


def test_mistakes_name_the_program_that_was_called(stoker: Stoker) -> None:
    outcome = stoker("tag", "a", program="docker model")
    assert "'docker model tag' requires 2 argument(s)." in outcome.err
    assert "Usage:  docker model tag SOURCE TARGET" in outcome.err


class Flags(Options):
    json: bool
    name: str | None


def parse(*argv: str, passes_on: bool = False) -> Flags:
    command = find("run")
    assert command is not None
    parser = Parser(command, "stoker")
    parser.passes_on = passes_on
    parser.switch("--json", help="")
    parser.flag("--name", value="N", help="")
    return parser.read(argv, Flags())


def test_flags_stand_anywhere_before_two_dashes() -> None:
    argv = ("m", "--json", "a", "--name", "n", "b", "--", "--c", "--json")
    options = parse(*argv)
    assert (options.words, options.rest) == (["m", "a", "b", "--c", "--json"], [])
    assert (options.json, options.name) == (True, "n")
    options = parse(*argv, passes_on=True)
    assert (options.words, options.rest) == (["m", "a", "b"], ["--c", "--json"])


def test_a_prompt_may_begin_with_a_dash() -> None:
    assert parse("m", "- buy milk\n- sleep").words == ["m", "- buy milk\n- sleep"]
    assert parse("m", "-").words == ["m", "-"]


def test_switches_take_gos_values() -> None:
    assert parse("--json=true").json
    assert not parse("--json=False").json
    with pytest.raises(UsageError):
        parse("--json=perhaps")


def test_abbreviations_are_not_guessed() -> None:
    with pytest.raises(UsageError, match="unknown flag: --nam"):
        parse("--nam", "x")


def test_the_daemon_is_not_there(stoker: Stoker) -> None:
    outcome = stoker("list")
    assert outcome.code == 1
    assert outcome.err.startswith("error: Stoker is not running: nothing answers at unix:///")
    assert outcome.err.endswith("\nhint: start it with: stoker serve\n")


def test_what_the_daemon_says_is_shown_with_its_hint(stoker: Stoker, daemon: Stub) -> None:
    daemon.fail["/models"] = (500, "no space left\n", {"Stoker-Hint": "stoker purge"})
    outcome = stoker("list")
    assert outcome.code == 1
    assert outcome.err == "error: Failed to list models: no space left\nhint: stoker purge\n"


def test_debug_shows_the_traceback(stoker: Stoker, daemon: Stub) -> None:
    daemon.fail["/models"] = (500, "no\n", {})
    for argv in (["--debug", "list"], ["list", "--debug"]):
        outcome = stoker(*argv)
        assert "Traceback (most recent call last)" in outcome.err
        assert outcome.err.endswith("error: Failed to list models: no\n")


def test_a_bug_is_called_one(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_options: object, _session: object) -> int:
        return 1 // 0

    monkeypatch.setattr("stoker.cli.commands.ps.run", broken)
    outcome = stoker("ps")
    assert outcome.code == 1
    assert outcome.err.startswith("error: this is a bug in Stoker: ZeroDivisionError")
    assert "Traceback" not in outcome.err


def test_an_error_of_the_system_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    report(PermissionError(13, "Permission denied", "/x"))
    assert capsys.readouterr().err == "error: Permission denied: /x\n"


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(StokerError("a\x1b[2Jb\u202ec", hint="é"))
    assert capsys.readouterr().err == "error: a\\x1b[2Jb\\u202ec\nhint: é\n"


@pytest.mark.parametrize("show", [put_json, put_json_line])
def test_json_for_people_controls_no_terminal_either(
    show: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """U+009B begins a sequence like ESC [ does; a file may call its author anything."""
    said = {"author": "a\u009b2Jb\u202ec\x7f\u2028é", "path": "x\ty\nz"}
    show(said)
    shown = capsys.readouterr().out
    assert json.loads(shown) == said
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "é" in shown


def test_exit_codes() -> None:
    assert [code for _, code in EXIT_CODES] == [2, 130, 0, 1]
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(StokerError("x")) == 1


def test_refusals_are_docker_model_runners() -> None:
    error = DaemonError("Model not found", origin="x", status=404)
    text = "pulling m failed with status 404 Not Found: Model not found"
    assert refusal("pulling m", error) == text
    assert refusal("pulling m", DaemonError("x", origin="x", status=200)) == "x"
    assert refusal("v", DaemonError("x", origin="x", status=599)) == "v failed with status 599: x"
