"""Paraphrase templates: expand them at random, and roughen the result as people type.

A template is text with `[a|b|]` (pick one, nesting allowed) and `<name>` (a macro, expanded in
turn). Everything is driven by the `random.Random` handed in, so one seed gives one dataset.
"""

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_INNER = re.compile(r"\[([^\[\]]*)\]")
_MACRO = re.compile(r"<(\w+)>")

# Keys that lie beside each other, for typing mistakes that look like typing mistakes.
_NEAR = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "ko", "m": "nb", "n": "bm", "o": "ip", "p": "ol",
    "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "xs",
}  # fmt: skip

_BEFORE = [
    "please ", "hey, ", "hi, ", "hello, ", "ok, ", "so ", "and ", "now, ", "well, ", "sorry, ",
    "excuse me, ", "quick question: ", "one question: ", "question: ", "hi pilot, ", "hey pilot ",
    "um, ", "another thing: ", "also, ", "ok so ", "then ", "pilot, ",
]  # fmt: skip
_AFTER = [
    " please", ", please", " thanks", " in stoker", " with stoker", " again", " exactly", " then",
    " now", " for me", " quickly", ", pilot", " here", ", I wonder", ", if I may ask",
    " by the way",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing pilot knows: its answer, its short answer, and the templates that ask for it."""

    id: str
    category: str
    answer: str
    brief: str
    templates: tuple[str, ...]


# How a command is asked about by its name; NAME is replaced.
_COMMAND = [
    "what does [`stoker NAME`|stoker NAME|the NAME command|the command NAME|NAME] do",
    "what is [`stoker NAME`|stoker NAME|the NAME command] [for|good for|used for|]",
    "[explain|describe] [`stoker NAME`|stoker NAME|the NAME command]",
    "[stoker NAME|`stoker NAME`|stoker NAME?]",
    "when [do|would|should] I use [`stoker NAME`|stoker NAME]",
    "how do I use [`stoker NAME`|stoker NAME|the NAME command]",
    "what happens [when|if] I [run|type|call] [`stoker NAME`|stoker NAME]",
    "[tell me about|help with|purpose of|meaning of] [`stoker NAME`|stoker NAME|the NAME command]",
    "why is there a [NAME|stoker NAME] command", "what would [stoker NAME|`stoker NAME`] give me",
]  # fmt: skip


class Phrasebook:
    """The facts and their templates, read once from facts.toml and asks.toml."""

    def __init__(self, folder: Path = HERE) -> None:
        sheet = tomllib.loads((folder / "facts.toml").read_text("utf-8"))
        asks = tomllib.loads((folder / "asks.toml").read_text("utf-8"))
        self.values: dict[str, str] = sheet["values"]
        self.macros: dict[str, str] = asks["macros"]
        self.facts: dict[str, Fact] = {}
        for row in sheet["fact"]:
            templates = self._templates(asks["asks"].get(row["id"], {}))
            templates += asks["more"].get(row["id"], []) + asks["further"].get(row["id"], [])
            answer, brief = self.fill(row["answer"]), self.fill(row["brief"])
            self.facts[row["id"]] = Fact(
                row["id"],
                row["category"],
                answer,
                brief,
                tuple(templates),
            )

    def fill(self, text: str) -> str:
        """`text` with `{name}` replaced by the fact sheet's values."""
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", value)
        return text

    def expand(self, template: str, rng: random.Random) -> str:
        """One random reading of `template`."""
        while True:
            chosen = _INNER.sub(lambda m: rng.choice(m[1].split("|")), template)
            chosen = _MACRO.sub(lambda m: self.macros.get(m[1], m[0]), chosen)
            if chosen == template:
                return re.sub(r" +", " ", chosen).strip()
            template = chosen

    def _templates(self, asks: dict[str, object]) -> list[str]:
        def words(key: str) -> list[str]:
            value = asks.get(key, [])
            return [str(item) for item in value] if isinstance(value, list) else []

        out = words("ask")
        # Two readings of each verb and noun phrase: they multiply with a macro of dozens of
        # openings.
        out += [f"<how> {verb}" for verb in words("to")] * 2
        out += [f"<whatis> {noun}" for noun in words("what")] * 2
        if "cmd" in asks:
            out += [line.replace("NAME", str(asks["cmd"])) for line in _COMMAND]
        return out


def normalize(text: str) -> str:
    """Lower case, words only: two prompts are the same question when this is equal."""
    return " ".join(re.findall(r"[a-z0-9_./+*=-]+", text.lower().replace("'", "")))


def typo(text: str, rng: random.Random) -> str:
    """`text` with one slip of the fingers in a word of four letters or more."""
    spots = [m.start() + 1 for m in re.finditer(r"[a-z]{4,}", text)]
    if not spots:
        return text
    i = rng.choice(spots) + rng.randrange(2)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:i] + text[i + 1 :]
    if kind == 1:
        return text[:i] + text[i : i + 2][::-1] + text[i + 2 :]
    if kind == 2:
        return text[:i] + text[i] + text[i:]
    return text[:i] + rng.choice(_NEAR.get(text[i], text[i])) + text[i + 1 :]


def roughen(  # noqa: C901 (a list of chances, one after the other)
    text: str, rng: random.Random, *, question: bool = True
) -> str:
    """`text` as somebody might type it: politeness, capitals, punctuation and slips vary."""
    if question and len(text) > 5:
        if rng.random() < 0.10:
            text = rng.choice(_BEFORE) + text
        if rng.random() < 0.06:
            text = text.rstrip("?") + rng.choice(_AFTER)
    chance = rng.random()
    if chance < 0.40:
        text = text[0].upper() + text[1:]
    elif chance < 0.70:
        text = text.lower()
    elif chance < 0.72:
        text = text.upper()
    if rng.random() < 0.12:
        text = text.replace("'", "")
    if not text.endswith(("?", "!", ".")):
        chance = rng.random()
        if question and chance < 0.5:
            text += "?"
        elif chance < 0.6:
            text += "."
        elif chance < 0.63:
            text += "!"
    if rng.random() < 0.10:
        text = typo(text, rng)
    return text
