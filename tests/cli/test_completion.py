"""Tab completion: what is offered where, and the scripts as the shells run them."""

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from stoker.access import KeyFile
from stoker.base.paths import paths_of
from stoker.cli.commands.completion import SCRIPTS
from stoker.cli.parser import Parser
from stoker.cli.table import Command, commands
from tests.cli.conftest import Stoker
from tests.cli.terminal import terminal
from tests.components.stub_daemon import SMOLLM2, Stub


def offered(stoker: Stoker, *words: str) -> list[str]:
    """Candidates without their descriptions, and at the end what the shell is told."""
    outcome = stoker("__complete", *words)
    assert (outcome.code, outcome.err) == (0, "")
    return [line.partition("\t")[0] for line in outcome.out.splitlines()]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pul"], ["pull", ":4"]),
        (["run", ""], ["smollm2", ":4"]),
        (["run", "x"], [":4"]),
        (["run", "smollm2", ""], [":4"]),
        (["tag", "smo"], ["smollm2", ":4"]),
        (["tag", "smollm2", ""], [":4"]),
        (["rm", "smollm2", ""], ["smollm2", ":4"]),
        (["unload", ""], ["smollm2", ":4"]),
        (["configure", ""], ["show", "smollm2", ":4"]),
        (["configure", "show", ""], ["smollm2", ":4"]),
        (["configure", "show", "smollm2", ""], [":4"]),
        (["configure", "smollm2", "--", ""], [":0"]),
        (["configure", "--kv-type", "q8"], ["q8_0", ":4"]),
        (["configure", "--gpu", ""], ["required", "preferred", "never", ":4"]),
        (["install-runner", "--gpu", "v"], ["vulkan", ":4"]),
        (["run", "--backend", ""], ["llama.cpp", "vllm", ":4"]),
        (["run", "--backend=v"], ["--backend=vllm", ":4"]),
        (["run", "--backend", "vllm", "smo"], ["smollm2", ":4"]),
        (["requests", "--model", ""], ["smollm2", ":4"]),
        (["package", "--gguf", ""], [":0"]),
        (["import", ""], [":0"]),
        (["import", "x.gguf", ""], [":4"]),
        (["list", "--j"], ["--json", ":4"]),
        (["list", "--h"], ["--help", ":4"]),
        (["completion", ""], ["bash", "zsh", "fish", ":4"]),
        (["docker-plugin", "un"], ["uninstall", ":4"]),
        (["launch", "op"], ["opencode", "openwebui", ":4"]),
        (["launch", "claude", "--model", ""], ["smollm2", ":4"]),
        (["launch", "claude", "--", ""], [":0"]),
        (["compose", "u"], ["up", ":4"]),
        (["context", "u"], ["use", ":4"]),
        (["context", "use", ""], ["default", "far", "near", ":4"]),
        (["context", "use", "far", ""], [":4"]),
        (["context", "rm", "far", ""], ["near", ":4"]),
        (["context", "create", ""], [":4"]),
        (["key", "r"], ["rm", ":4"]),
        (["key", "rm", ""], ["laptop", ":4"]),
        (["key", "add", ""], [":4"]),
        (["help", "pur"], ["purge", ":4"]),
        (["ps", ""], [":4"]),
        (["nonsense", ""], [":4"]),
        (["--"], [":4"]),
    ],
)
def test_candidates(words: list[str], found: list[str], stoker: Stoker, daemon: Stub) -> None:
    KeyFile(paths_of().keys).add("laptop")
    for name in ("near", "far"):
        stoker("context", "create", name, "--host", "h")
    assert offered(stoker, *words) == found


def test_every_command_is_offered(stoker: Stoker) -> None:
    assert offered(stoker, "") == [*(command.name for command in commands()), ":4"]


@pytest.mark.parametrize("command", [c for c in commands() if c.name != "help"], ids=str)
def test_every_flag_is_offered(command: Command, stoker: Stoker) -> None:
    parser = Parser(command, "stoker")
    import_module(f"stoker.cli.commands.{command.module}").arguments(parser)
    long = [name for flag in parser.flags for name in flag.names if name.startswith("--")]
    assert offered(stoker, command.name, "--") == [*long, "--debug", "--help", ":4"]
    for alias in command.aliases:
        assert offered(stoker, alias, "--") == [*long, "--debug", "--help", ":4"]


def test_it_is_silent_without_a_daemon(stoker: Stoker) -> None:
    assert offered(stoker, "run", "") == [":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str, stoker: Stoker) -> None:
    assert "stoker __complete" in stoker("completion", shell).out


def test_bash_at_work(daemon: Stub, tmp_path: Path) -> None:
    """Somebody at a terminal, with bash and nothing else, presses Tab."""
    daemon.models.append({**SMOLLM2, "tags": ["docker.io/ai/gemma3:4b"]})
    (tmp_path / "weights.gguf").touch()
    script = tmp_path / "completion.bash"
    script.write_text(SCRIPTS["bash"])
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PS1": "READY ",
        "INPUTRC": os.devnull,
    }
    bash = ("bash", "--norc", "--noprofile", "-i")
    with terminal(environ=environ, program=bash) as shell:
        shell.expect("READY")
        shell.type(f"bind 'set enable-bracketed-paste off'; cd {tmp_path}; . {script.name}\r")
        shell.expect("READY")
        for typed, whole in (
            ("stoker pul", "stoker pull "),
            ("stoker run smo", "stoker run smollm2 "),
            ("stoker run gemma3:", "stoker run gemma3:4b "),
            ("stoker list --j", "stoker list --json "),
            ("stoker run --backend=v", "stoker run --backend=vllm "),
            ("stoker package --gguf wei", "stoker package --gguf weights.gguf "),
        ):
            shell.type(f"{typed}\t")
            shell.expect(whole)
            shell.type("\x15")  # Ctrl-U: forget the line
        shell.type("exit\r")
        shell.end()
