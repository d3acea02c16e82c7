"""argparse with Docker's manners: flags anywhere, `--` ends them, and its words for mistakes."""

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn, TypeVar

from stoker.cli.errors import UsageError
from stoker.cli.table import Command


class Options(argparse.Namespace):
    """What every command gets; a command's own class adds its flags, with their types."""

    words: list[str]
    """The arguments that are no flags."""
    rest: list[str]
    """What came after a bare `--`."""
    debug: bool


O = TypeVar("O", bound=Options)  # noqa: E741

_LAYOUT: Final = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """Reads the flags of one command. Raises UsageError; prints only for --help."""

    def __init__(self, command: Command, program: str) -> None:
        self.command = command
        self.program = program
        super().__init__(
            prog=f"{program} {command.name}",
            usage=f"{program} {command.name} {command.usage or ''}".rstrip() + " [OPTIONS]",
            description=f"{command.summary}.".replace("?.", "?"),
            formatter_class=_LAYOUT,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-h", "--help", action="help", help="show this text")
        self.add_argument("--debug", action="store_true", help="show tracebacks and timings")

    def read(self, argv: Sequence[str], options: O) -> O:
        """Fill in `options` from what follows the command's name."""
        before, rest = _split(argv)
        _, left = self.parse_known_args(before, options)
        for word in left:
            # "- a thing" is text; a flag has no blanks before its value.
            if word.startswith("-") and word != "-" and " " not in word.partition("=")[0]:
                self.error(f"unknown flag: {word.partition('=')[0]}")
        options.words, options.rest = left, rest
        return options

    def check_count(self, words: Sequence[str]) -> None:
        """Raise UsageError when there are too few or too many arguments."""
        least, most, count = self.command.least, self.command.most, len(words)
        if least <= count and (most is None or count <= most):
            return
        if most == 0:
            problem = f"accepts no arguments, got {words[0]!r}"
        elif least == most:
            problem = f"requires {least} argument(s)"
        elif count < least:
            problem = f"requires at least {least} argument(s)"
        else:
            problem = f"accepts at most {most} argument(s)"
        self.refuse(problem)

    def refuse(self, problem: str) -> NoReturn:
        """A UsageError in Docker's layout: the problem, the usage, where the help is."""
        name = f"{self.program} {self.command.name}"
        raise UsageError(
            f"'{name}' {problem}.\n\nUsage:  {name} {self.command.usage}".rstrip()
            + f"\n\nSee '{name} --help' for more information"
        )

    def error(self, message: str) -> NoReturn:
        """What argparse calls when it does not like something."""
        raise UsageError(message, hint=f"see '{self.prog} --help'")


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in argv:
        return [*argv], []
    at = [*argv].index("--")
    return [*argv[:at]], [*argv[at + 1 :]]
