"""argparse with Docker's manners: flags anywhere, `--` ends them, and its words for mistakes."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn, TypeVar

from stoker.cli.errors import UsageError
from stoker.cli.table import INSTEAD, Command


class Options(argparse.Namespace):
    """What every command gets; a command's own class adds its flags, with their types."""

    words: list[str]
    """The arguments that are no flags."""
    rest: list[str]
    """What came after a bare `--` and is for another program; see `Parser.passes_on`."""
    debug: bool


O = TypeVar("O", bound=Options)  # noqa: E741

# Go's flags take a value for a switch too, and people paste such lines.
_ARGPARSE: Final = (
    (r"argument (\S+): invalid int value: (.*)", r"\1 needs a whole number, not \2"),
    (r"argument (\S+): invalid float value: (.*)", r"\1 needs a number, not \2"),
    (r"argument (\S+): invalid choice: .*\(choose from (.*)\)", r"\1 is one of \2"),
    (r"argument (\S+): expected one argument", r"\1 needs a value"),
    (r"argument (\S+): ignored explicit argument .*", r"\1 takes no value"),
)
"""Its sentences, and ours."""
_SWITCH_VALUE: Final = r"(--[a-z-]+)=(true|false)"


class Flag(NamedTuple):
    """One line of help; `value` is empty for a switch."""

    names: tuple[str, ...]
    value: str
    help: str
    choices: tuple[str, ...] = ()


class Parser(argparse.ArgumentParser):
    """Reads the flags of one command. Raises UsageError; prints only for --help.

    `passes_on`: what comes after a bare `--` is for another program. Else it is words that may
    begin with a dash.
    """

    def __init__(self, command: Command, program: str) -> None:
        self.command = command
        self.program = program
        self.flags: list[Flag] = []
        self.passes_on = False
        super().__init__(
            prog=f"{program} {command.name}", allow_abbrev=False, add_help=False,
            formatter_class=_formatter,
        )  # fmt: skip
        self.add_argument("-h", "--help", action="help")
        self.add_argument("--debug", action="store_true")

    def flag(
        self,
        *names: str,
        value: str,
        help: str,  # noqa: A002  # argparse's own word
        kind: Callable[[str], object] = str,
        default: object = None,
        choices: Sequence[str] | None = None,
        into: str | None = None,
        bare: str | None = None,
    ) -> None:
        """A flag with a value of that kind; `into` names the option when its name cannot.

        `bare` is what it means without a value, where that means something.
        """
        self.flags.append(Flag(names, value, help, tuple(choices or ())))
        self.add_argument(
            *names, type=kind, default=default, choices=choices, dest=into, const=bare,
            nargs="?" if bare else None,
        )  # fmt: skip

    def many(self, *names: str, value: str, help: str) -> None:  # noqa: A002
        """A flag that may be given several times; the option is a list, in order."""
        self.flags.append(Flag(names, value, help))
        self.add_argument(*names, action="append", default=[])

    def switch(self, *names: str, help: str) -> None:  # noqa: A002
        """A flag that is there or not; `--name=false` is understood too."""
        self.flags.append(Flag(names, "", help))
        self.add_argument(*names, action="store_true")

    def format_help(self) -> str:
        """Usage, summary, options, notes. argparse's own layout changes with Python's version."""
        usage = " ".join(word for word in (self.prog, self.command.usage, "[OPTIONS]") if word)
        common = [
            Flag(("--debug",), "", "show tracebacks and timings"),
            Flag(("-h", "--help"), "", "show this text"),
        ]
        lines = [(_spelled(flag), flag.help) for flag in (*self.flags, *common)]
        width = max(len(left) for left, _ in lines)
        options = "\n".join(f"  {left:<{width}}  {text}" for left, text in lines)
        summary = self.command.summary
        blocks = [
            f"Usage:  {usage}",
            summary if summary.endswith("?") else f"{summary}.",
            f"Options:\n{options}",
            self.epilog or "",
        ]
        return "\n\n".join(block for block in blocks if block) + "\n"

    def read(self, argv: Sequence[str], options: O) -> O:
        """Fill in `options` from what follows the command's name."""
        before, rest = _split(argv)
        _, left = self.parse_known_args(self._plain(before), options)
        for word in left:
            # "- a thing" is text; a flag has no blanks before its value.
            if word.startswith("-") and word != "-" and " " not in word.partition("=")[0]:
                name = word.partition("=")[0]
                hint = INSTEAD.get(name) or self._nearest(name)
                raise UsageError(f"unknown flag: {name}", hint=hint)
        options.words, options.rest = (left, rest) if self.passes_on else ([*left, *rest], [])
        return options

    def _nearest(self, name: str) -> str:
        """Advice for a flag that is none."""
        from difflib import get_close_matches  # noqa: PLC0415  # 5 ms, for a slip

        known = [known for flag in self.flags for known in flag.names if known.startswith("--")]
        close = get_close_matches(name, known, n=1, cutoff=0.75)
        return f"did you mean {close[0]}?" if close else f"see '{self.prog} --help'"

    def _plain(self, argv: Sequence[str]) -> list[str]:
        """`--json=true` as `--json`; `--json=false` as `--no-json` if there is one, or nothing."""
        switches = {name for flag in self.flags if not flag.value for name in flag.names}
        words: list[str] = []
        for word in argv:
            match = re.fullmatch(_SWITCH_VALUE, word, re.IGNORECASE) if "=" in word else None
            if match is None or match[1] not in switches:
                words.append(word)
            elif match[2].lower() == "true":
                words.append(match[1])
            elif (opposite := f"--no-{match[1][2:]}") in switches:
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
        for pattern, words in _ARGPARSE:
            message = re.sub(pattern, words, message)
        raise UsageError(message, hint=f"see '{self.prog} --help'")


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Only checks flags; told no width, it would import 2 ms of modules to ask the terminal."""
    return argparse.HelpFormatter(prog, width=80)


def _spelled(flag: Flag) -> str:
    """Long names under long names, whether there is a short one or not."""
    names = ", ".join(flag.names) if len(flag.names) > 1 else f"    {flag.names[0]}"
    return f"{names} {flag.value}".rstrip()


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in argv:
        return [*argv], []
    at = [*argv].index("--")
    return [*argv[:at]], [*argv[at + 1 :]]
