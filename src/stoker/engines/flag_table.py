"""Which flags of llama-server a user may pass and what values they take, out of its own help.

`record_flags` writes them to `llamacpp_flags.txt`, which Stoker reads; a test compares it with the
engine that Stoker comes with. So a flag that a release adds or changes
is seen by somebody before a user can pass it: flags arrive over HTTP. `vllm_flag_table` does the
same for vLLM.

Left out is what the help shows to take a file, a URL or an address, and by name what fetches,
listens, authenticates, logs elsewhere, runs something, or ends the program.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Final


class Kind(StrEnum):
    """What a flag takes."""

    SWITCH = "switch"
    NUMBER = "number"
    NUMBERS = "numbers"
    """Several, between commas."""
    AMOUNT = "amount"
    """A number that may end in a letter: `8k` is 8000, `8K` 8192."""
    CHOICE = "choice"
    """One of the listed words."""
    WORDS = "words"
    """Anything that cannot be a path."""
    TEXT = "text"
    """Anything: in a template or a grammar a slash is only a slash."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One option under all its names. `words`: the choices; of a number, what may stand for it."""

    names: tuple[str, ...]
    kind: Kind
    words: tuple[str, ...] = ()

    def line(self) -> str:
        """As it is recorded."""
        return " ".join([self.kind, *self.names, *(f"={word}" for word in self.words)])


_NEVER: Final = re.compile(
    r"--?(?:h|help|usage|version|cl|cache-list|completion-bash|list-devices|offline"
    r"|host|port|reuse-port|path|api-.*|ssl-.*|cors-.*|no-cors-.*|alias|a|tags"
    r"|(?:no-)?(?:web)?ui(?:-.*)?|tools.*|mcp-.*|agent|no-agent|ag|no-ag|rpc"
    r"|models?(?:-.*)?|no-models-.*|docker-repo|hf.*|lora.*|control-vector.*"
    r"|(?:no-)?log-(?:disable|file|jsonl|colors|prefix|timestamps|prompts-dir)"
    r"|slot-save-path|media-path|video-.*|mmproj|mmproj-url|(?!spec-draft).*-(?:default|spec)"
    r"|spec-synth-.*|defrag-thold|dt)"
)
_FOREIGN: Final = re.compile(
    r"FNAME|FILE|PATH|DIR\b|URL|HOST|SERVERS|\bKEY$|TOKEN$|repo|PREFIX|ORIGINS|METHODS|HEADERS"
)
"""Values that name a file, a place or a secret."""
_GONE: Final = ("has been removed", "DEPRECATED")

_NUMBER: Final = frozenset({"N", "P", "L", "SEED", "INDEX", "SIMILARITY", "SECONDS", "<0...100>"})
_NUMBERS: Final = re.compile(r"\w+0,\w+1,.*")
_TEXT: Final = frozenset({
    "STRING", "GRAMMAR", "SCHEMA", "JINJA_TEMPLATE", "PROMPT", "MESSAGE", "KEY=TYPE:VALUE,...",
    "<tensor name pattern>=<buffer type>,...",
})  # fmt: skip
_CHOICES: Final = re.compile(r"[{\[<]([\w.-]+(?:[,|][\w.-]+)+)[}\]>]")
_QUOTED: Final = re.compile(r"'([a-z]+)'")

_NAME: Final = re.compile(r"(?<!\S)--?[A-Za-z][\w.-]*")
_OPTION: Final = re.compile(r"((?:-[\w.-]+,?\s+)*?-[\w.-]+)(?: (?! )(.*?))?(?:\s{2,}(.*))?")


def flags_of(text: str) -> Iterator[Flag]:
    """The flags that users may pass, in the order of the help."""
    for names, value, about in _options(text):
        if any(_NEVER.fullmatch(name) for name in names) or any(word in about for word in _GONE):
            continue
        kind, words = _kind(value, about)
        if kind:
            yield Flag(names, kind, words)


def read_flags(lines: Iterable[str]) -> dict[str, Flag]:
    """What was recorded, by every name."""
    found: dict[str, Flag] = {}
    for line in lines:
        kind, *rest = line.split()
        names = tuple(word for word in rest if word.startswith("-"))
        words = tuple(word[1:] for word in rest if word.startswith("="))
        flag = Flag(names, Kind(kind), words)
        found |= dict.fromkeys(names, flag)
    return found


def recorded(name: str) -> dict[str, Flag]:
    """A table that Stoker comes with."""
    text = resources.files("stoker.engines").joinpath(name).read_text()
    return read_flags(text.splitlines())


def _kind(value: str, about: str) -> tuple[Kind | None, tuple[str, ...]]:
    if not value:
        return Kind.SWITCH, ()
    if value in _TEXT:
        return Kind.TEXT, ()
    if _FOREIGN.search(value):
        return None, ()
    if value in _NUMBER:
        return Kind.NUMBER, tuple(dict.fromkeys(_QUOTED.findall(about)))
    if _NUMBERS.fullmatch(value):
        return Kind.NUMBERS, ()
    if (choices := _CHOICES.fullmatch(value)) and ".." not in value:
        return Kind.CHOICE, tuple(re.split(r"[,|]", choices[1]))
    return Kind.WORDS, ()


def _options(text: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Names, value and description of each option."""
    head, about = "", ""
    for line in [*text.splitlines(), "-"]:
        if not line.startswith("-"):
            about += f" {line.strip()}"
            continue
        if (found := _OPTION.fullmatch(head.strip())) and not head.startswith("-----"):
            yield tuple(_NAME.findall(found[1])), found[2] or "", f"{found[3] or ''}{about}"
        head, about = line, ""
