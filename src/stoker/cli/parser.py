"""argparse with Docker's manners: flags anywhere, `--` ends them, and its words for mistakes."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

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
# Go's flags take a value for a switch too, and people paste such lines.
_SWITCH_VALUE: Final = re.compile(r"(--[a-z-]+)=(true|false)", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """Reads the flags of one command. Raises UsageError; prints only for --help."""

    def __init__(self, command: Command, program: str) -> None:
        self.command = command
        self.program = program
        self.flags: list[str] = []
        self._switches: set[str] = set()
        super().__init__(
            prog=f"{program} {command.name}",
            usage=f"{program} {command.name} {command.usage or ''}".rstrip() + " [OPTIONS]",
            description=f"{command.summary}.".replace("?.", "?"),
            formatter_class=_LAYOUT,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-h", "--help", action="help", help="show this text")
        self.switch("--debug", help="show tracebacks and timings")

    def flag(self, *names: str, kind: Callable[[str], object] = str, **options: Any) -> None:
        """A flag with a value."""
        self.flags += names
        self.add_argument(*names, type=kind, **options)

    def switch(self, *names: str, help: str) -> None:  # noqa: A002  # argparse's own word
        """A flag that is there or not; `--name=false` is understood too."""
        self.flags += names
        self._switches.update(names)
        self.add_argument(*names, action="store_true", help=help)

    def read(self, argv: Sequence[str], options: O) -> O:
        """Fill in `options` from what follows the command's name."""
        before, rest = _split(argv)
        _, left = self.parse_known_args(self._plain(before), options)
        for word in left:
            # "- a thing" is text; a flag has no blanks before its value.
            if word.startswith("-") and word != "-" and " " not in word.partition("=")[0]:
                self.error(f"unknown flag: {word.partition('=')[0]}")
        options.words, options.rest = left, rest
        return options

    def _plain(self, argv: Sequence[str]) -> list[str]:
        """`--json=true` as `--json`; `--json=false` as `--no-json` if there is one, or nothing."""
        words: list[str] = []
        for word in argv:
            match = _SWITCH_VALUE.fullmatch(word)
            if match is None or match[1] not in self._switches:
                words.append(word)
            elif match[2].lower() == "true":
                words.append(match[1])
            elif (opposite := f"--no-{match[1][2:]}") in self._switches:
                words.append(opposite)
        return words

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
