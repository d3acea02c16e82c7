"""pilot's training conversations, made from the fact sheet: one seed gives one dataset.

    python models/pilot/dataset.py --stats           # what is in it
    python models/pilot/dataset.py -o data.npz       # token ids and loss weights for train.py

No conversation holds a held-out question (heldout.json): the generator stops with an error if one
does.
"""

import argparse
import collections
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chat
import phrases
import refusals
import slots
import sums
import toolcalls
import wording

HERE = Path(__file__).parent
Turn = tuple[str, str, str]  # what the user says, the answer, the brief answer

_SYSTEM = [
    "You are a helpful assistant.", "You are a helpful assistant.", "You are a helpful assistant.",
    "You are pilot, Stoker's help desk.", "You are pilot, the help desk of Stoker.",
    "You are a helpful AI assistant.", "Answer questions about Stoker.",
    "You are a friendly assistant.", "You are an assistant.", "You help people use Stoker.",
    "Be helpful.", "You are a support agent for Stoker.", "You are an expert on Stoker.",
    "Answer truthfully.", "Be polite and precise.",
    "You are a useful assistant who answers questions.", "Help the user.",
    "You are a helpful, respectful and honest assistant.", "You are a test.",
    "Today is a good day. You are a helpful assistant.",
    "You answer the user's questions as well as you can. If you do not know something, say so.",
    "You are Stoker's assistant.",
]  # fmt: skip
_BRIEF = [
    "Be brief.", "Answer briefly.", "Keep it short.", "Answer in a few words.", "Be concise.",
    "Short answers only.", "You are a helpful assistant. Be brief.", "Give short answers.",
    "Answer as short as possible.", "You are terse.", "Be very brief.",
    "Reply with one short sentence.", "You are a helpful assistant. Keep your answers short.",
    "Answer concisely.", "No long answers, please.", "Only the essential, nothing more.",
]  # fmt: skip
# How often each kind of question is drawn.
_SHARES = {
    "fact": 0.56,
    "sum": 0.17,
    "count": 0.06,
    "refusal": 0.10,
    "slot": 0.07,
    "small": 0.04,
}
# A fact's answer is known by its beginning; most of the time the rest is left out, which leaves the
# trainer more questions for its time.
_SOUP_SHARE = 0.35
_CUT_SHARE, _CUT_TOKENS = 0.75, 9
_SMALL = ["hello", "how_are_you", "thanks", "goodbye", "praise", "okay", "pilot", "pilot_can"]


def held_out() -> set[str]:
    """The normalised questions of the sets that judge or steer; none may be trained on."""
    rows = []
    for name in ("heldout.json", "everyday.json", "tuning.json"):
        rows += json.loads((HERE / name).read_text("utf-8"))["questions"]
    return {phrases.normalize(row["ask"]) for row in rows}


class Generator:
    """Draws conversations from the phrasebook; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.book = phrases.Phrasebook()
        self.kinds = list(_SHARES)
        self.shares = list(_SHARES.values())
        self.facts = [fact for fact in self.book.facts.values() if fact.templates]
        # A fact asked in many ways needs more examples than one with a handful of wordings.
        self.weights = [len(fact.templates) ** 0.5 for fact in self.facts]
        self.held_out = held_out()
        self.counts: collections.Counter[str] = collections.Counter()

    def turn(self) -> Turn:
        """One question with its answers."""
        rng = self.rng
        kind = rng.choices(self.kinds, self.shares)[0]
        question = True
        if kind == "sum":
            ask, answer, brief = sums.make_sum(rng)
        elif kind == "count":
            ask, answer, brief = sums.make_count(rng)
            question = False
        elif kind == "slot":
            ask, answer, brief = slots.make_slot(rng)
            self.counts[kind] += 1
            # A value to be copied must survive: no capitals, no slips.
            return self._checked(ask + rng.choice(["", "", "?"])), answer, brief
        elif kind == "refusal":
            ask = wording.vary(refusals.make_refusal(rng), rng)
            if rng.random() < _SOUP_SHARE / 2:
                ask = wording.soup(ask, rng)
            answer, brief = self.book.facts["refuse"].answer, self.book.facts["refuse"].brief
        else:
            fact = rng.choices(self.facts, self.weights)[0]
            if kind == "small":
                fact = self.book.facts[rng.choice(_SMALL)]
            ask, answer, brief = (
                self.book.expand(rng.choice(fact.templates), rng),
                fact.answer,
                fact.brief,
            )
            question = fact.category != "greetings"
            kind = fact.category
            if question and fact.category != "identity":
                ask = wording.vary(ask, rng)
                if "`" not in ask and rng.random() < _SOUP_SHARE:
                    ask = wording.soup(ask, rng)
        self.counts[kind] += 1
        if kind == "sum":
            return self._checked(self._roughen_sum(wording.surround(ask, rng))), answer, brief
        return self._checked(phrases.roughen(ask, rng, question=question)), answer, brief

    def conversation(self) -> tuple[list[chat.Message], list[chat.Message]]:
        """One conversation of one to six turns, and its tools."""
        rng = self.rng
        if rng.random() < 0.035:
            return self._with_tools()
        chance = rng.random()
        if chance < 0.78:
            turns = [self.turn()]
        elif chance < 0.92:
            turns = [self.turn() for _ in range(rng.choice([2, 2, 3, 3, 4, 5, 6]))]
        else:
            turns = slots.named_turns(rng, rng.choice([2, 2, 3]))
            turns = [(self._checked(ask), answer, brief) for ask, answer, brief in turns]
        messages, brief = self._system()
        for ask, long, short in turns:
            messages += [
                {"role": "user", "content": ask},
                {"role": "assistant", "content": short if brief else long},
            ]
        return messages, []

    def _checked(self, ask: str) -> str:
        if phrases.normalize(ask) in self.held_out:
            message = f"held-out question in the training set: {ask!r}"
            raise ValueError(message)
        return ask

    def _roughen_sum(self, ask: str) -> str:
        rng = self.rng
        if rng.random() < 0.4:
            ask = ask[0].upper() + ask[1:]
        if rng.random() < 0.06:
            ask = rng.choice(["please ", "hey, ", "ok, ", "quick question: ", "and "]) + ask
        return ask + rng.choice(["", "?", "?", "."]) if not ask.endswith("=") else ask

    def _system(self) -> tuple[list[chat.Message], bool]:
        chance = self.rng.random()
        if chance < 0.64:
            return [], False
        if chance < 0.93:
            return [{"role": "system", "content": self.rng.choice(_SYSTEM)}], False
        return [{"role": "system", "content": self.rng.choice(_BRIEF)}], True

    def _with_tools(self) -> tuple[list[chat.Message], list[chat.Message]]:
        rng = self.rng
        tools, by_name = toolcalls.make_tools(rng)
        messages: list[chat.Message] = []
        if rng.random() < 0.4:
            messages.append({"role": "system", "content": rng.choice(_SYSTEM)})
        for _ in range(rng.choice([1, 1, 1, 2])):
            if rng.random() < 0.18:  # tools are there, but the question does not need them
                ask, answer, _ = self.turn()
                messages += [
                    {"role": "user", "content": ask},
                    {"role": "assistant", "content": answer},
                ]
                continue
            name, tool = rng.choice(list(by_name.items()))
            ask, call, result, answer = toolcalls.make_call(name, tool, rng)
            if rng.random() < 0.4:
                ask = ask[0].upper() + ask[1:]
            ask += rng.choice(["", "", "?", "."])
            self.counts["tool"] += 1
            messages.append({"role": "user", "content": ask})
            messages.append(
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"type": "function", "function": call}],
                },
            )
            messages.append({"role": "tool", "content": json.dumps(result)})
            messages.append({"role": "assistant", "content": answer})
        return messages, tools


def documents(seed: int, count: int) -> Iterator[list[chat.Piece]]:
    """`count` conversations as ChatML pieces."""
    generator = Generator(seed)
    for _ in range(count):
        messages, tools = generator.conversation()
        yield chat.pieces(messages, tools)


def encode(seed: int, count: int, tokenizer_file: Path) -> tuple[Any, Any]:
    """(ids uint16, mine uint8) of `count` conversations end to end; `mine` is 1 where the assistant
    speaks.
    """
    import numpy as np  # noqa: PLC0415 (--stats does without)
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    whole = {fact.answer + chat.END for fact in phrases.Phrasebook().facts.values()}
    rng = random.Random(seed)
    pad = tokenizer.token_to_id(chat.PAD)
    ids: list[int] = []
    mine: list[int] = []
    for document in documents(seed, count):
        encoded = tokenizer.encode_batch_fast(
            [text for text, _ in document],
            add_special_tokens=False,
        )
        cut = len(document) in (4, 5) and document[-2][0] in whole and rng.random() < _CUT_SHARE
        for piece, (_, own) in zip(encoded, document, strict=True):
            tokens = piece.ids[:_CUT_TOKENS] if cut and own else piece.ids
            ids += tokens
            mine += [int(own)] * len(tokens)
            if cut and own:
                break
        ids.append(pad)
        mine.append(0)
    return np.array(ids, dtype=np.uint16), np.array(mine, dtype=np.uint8)


def _stats(seed: int, count: int) -> None:
    generator = Generator(seed)
    asked: dict[str, set[str]] = collections.defaultdict(set)
    prompts: set[str] = set()
    for _ in range(count):
        messages, _ = generator.conversation()
        for ask, reply in itertools.pairwise(messages):
            if ask["role"] == "user" and reply["role"] == "assistant":
                prompts.add(phrases.normalize(ask["content"]))
                if messages[0]["role"] != "system" and len(messages) == 2:
                    asked[phrases.normalize(ask["content"])].add(reply["content"] or "call")
    total = sum(generator.counts.values())
    print(f"{count} conversations, {total} turns, {len(prompts)} different questions")
    for kind, n in generator.counts.most_common():
        print(f"  {kind:12} {n:7}  {100 * n / total:5.1f} %")
    double = {ask: answers for ask, answers in asked.items() if len(answers) > 1}
    print(f"{len(double)} questions with more than one answer")
    for ask, answers in list(double.items())[:40]:
        print("  ", ask, "->", [answer[:50] for answer in answers])


def main() -> None:
    """Command line: statistics, or the encoded dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60_000, help="conversations")
    parser.add_argument("--stats", action="store_true")
    parser.add_argument("--tokenizer", type=Path, default=HERE / "weights" / "tokenizer.json")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    if args.stats:
        _stats(args.seed, args.count)
    if args.out:
        import numpy as np  # noqa: PLC0415 (--stats does without)

        ids, mine = encode(args.seed, args.count, args.tokenizer)
        np.savez(args.out, ids=ids, mine=mine)
        print(f"{args.out}: {len(ids)} tokens, {mine.mean():.0%} of them the assistant's")


if __name__ == "__main__":
    main()
