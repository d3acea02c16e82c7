"""`__complete`: candidates for the last word, in the protocol of Docker's plugins.

One per line, with a tab and a description where there is one; then `:4` for "no file names", or
`:0` where the shell's own completion of them fits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from stoker.base.errors import StokerError
from stoker.cli.names import shown
from stoker.cli.output import put
from stoker.cli.parser import Flag, Parser
from stoker.cli.session import Session
from stoker.cli.table import Command, commands, find

# Offered, though other values may be right too.
_VALUES: Final[Mapping[str, Sequence[str]]] = {
    "--backend": ("llama.cpp", "vllm"),
    "--color": ("auto", "yes", "no"),
    "--format": ("docker", "cncf"),
    "--gpu": ("auto", "none", "cuda", "rocm", "vulkan", "metal"),
    "--log-level": ("debug", "info", "warning", "error"),
    "--mode": ("completion", "embedding", "reranking"),
    "--source": ("all", "dockerhub", "huggingface"),
}
_FILES: Final = frozenset({"DIR", "FILE", "PATH"})
_COMMON: Final = ("--debug\tshow tracebacks and timings", "--help\tshow help")


def run(words: Sequence[str], program: str) -> int:
    """Print the candidates for `words[-1]`, given those before it."""
    *before, last = words or [""]
    found = _candidates(before, last, program)
    if found is None:
        put(":0\n")
    else:
        put("".join(f"{text}\n" for text in found if text.startswith(last)) + ":4\n")
    return 0


def _candidates(before: Sequence[str], last: str, program: str) -> Iterable[str] | None:
    """What may stand there; None for names of files."""
    if not before:
        return (f"{command.name}\t{command.summary}" for command in commands())
    command = find(before[0])
    if command is None:
        return ()
    if command.name == "help":
        return (other.name for other in commands())
    if "--" in before:
        return None  # an engine's flags, an app's arguments
    parser = Parser(command, program)
    module = import_module(f"stoker.cli.commands.{command.module}")
    module.arguments(parser)
    name, equals, _ = last.partition("=")
    if equals and (flag := _taking(parser, name)):
        values = _of_flag(flag, program)
        return values and (f"{name}={value}" for value in values)
    if flag := _taking(parser, before[-1]):
        return _of_flag(flag, program)
    if last.startswith("-"):
        return _flags(parser)
    return _of_word(command, module, _positional(parser, before[1:]), program)


def _taking(parser: Parser, word: str) -> Flag | None:
    """The flag of that name, when a value follows it."""
    return next((flag for flag in parser.flags if flag.value and word in flag.names), None)


def _positional(parser: Parser, words: Sequence[str]) -> list[str]:
    """The words that are neither flags nor their values."""
    pairs = zip(["", *words], words, strict=False)
    return [w for last, w in pairs if not w.startswith("-") and not _taking(parser, last)]


def _of_flag(flag: Flag, program: str) -> list[str] | None:
    if flag.value in _FILES:
        return None
    if flag.value == "MODEL" or flag.names[-1] == "--model":
        return _models(program)
    return [*(flag.choices or _VALUES.get(flag.names[-1], ()))]


def _flags(parser: Parser) -> Iterator[str]:
    for flag in parser.flags:
        yield from (f"{name}\t{flag.help}" for name in flag.names if name.startswith("--"))
    yield from _COMMON


def _of_word(
    command: Command, module: ModuleType, words: list[str], program: str
) -> list[str] | None:
    """What the usage says may stand after these words, and what the command itself knows."""
    candidates: Callable[[list[str]], list[str]] = getattr(module, "candidates", lambda _: [])
    known = candidates(words)
    tokens = [token.strip("[]") for token in command.usage.partition(" | ")[0].split()]
    if tokens[:1] == ["MODEL"] and words and words[0] in candidates([]):
        words = words[1:]  # `configure show MODEL`
    if len(words) >= len(tokens) and not (tokens and tokens[-1].endswith("...")):
        return known
    token = tokens[min(len(words), len(tokens) - 1)].removesuffix("...")
    if token in _FILES:
        return None
    if "|" in token:
        known += token.split("|")
    elif token in {"MODEL", "SOURCE"}:
        known += _models(program)
    return known


def _models(program: str) -> list[str]:
    try:
        models = Session(program).client(start=False).models()
    except StokerError:
        return []  # the shell waits for an answer, not for an error
    return [shown(tag) for model in models for tag in model.tags]
