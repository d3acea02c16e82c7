"""`__complete`: candidates for the last word, in the protocol of Docker's plugins.

One per line, with a tab and a description where there is one; then `:4`, for "no file names".
"""

from collections.abc import Iterator, Sequence
from importlib import import_module

from stoker.base.errors import StokerError
from stoker.cli.names import shown
from stoker.cli.output import put
from stoker.cli.parser import Parser
from stoker.cli.session import Session
from stoker.cli.table import Command, commands, find


def run(words: Sequence[str], program: str) -> int:
    """Print the candidates for `words[-1]`, given those before it."""
    *before, last = words or [""]
    found = [text for text in _candidates(before, last, program) if text.startswith(last)]
    put("".join(f"{text}\n" for text in found) + ":4\n")
    return 0


def _candidates(before: Sequence[str], last: str, program: str) -> Iterator[str]:
    if not before:
        yield from (f"{command.name}\t{command.summary}" for command in commands())
        return
    command = find(before[0])
    if command is None:
        return
    if last.startswith("-"):
        yield from _flags(command, program)
    elif "|" in command.usage and "MODEL" not in command.usage:
        yield from command.usage.split("|")
    elif command.name == "help":
        yield from (other.name for other in commands())
    elif "MODEL" in command.usage or "SOURCE" in command.usage:
        yield from _models(program)


def _flags(command: Command, program: str) -> list[str]:
    parser = Parser(command, program)
    import_module(f"stoker.cli.commands.{command.module}").arguments(parser)
    return [name for flag in parser.flags for name in flag.names if name.startswith("--")]


def _models(program: str) -> list[str]:
    try:
        models = Session(program).client(start=False).models()
    except StokerError:
        return []  # the shell waits for an answer, not for an error
    return [shown(tag) for model in models for tag in model.tags]
