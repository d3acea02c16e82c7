"""Ask pilot the held-out questions and count the right answers.

    python models/pilot/evaluate.py --gguf pilot-Q8_0.gguf
    python models/pilot/evaluate.py --url http://127.0.0.1:12434/engines/v1 --model pilot

Greedy decoding unless --temperature is given. Exit code 1 below 90 %.
"""

import argparse
import collections
import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import engine

HELD_OUT = Path(__file__).parent / "heldout.json"
PASS = 0.90


def messages_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation that a held-out row asks: its system prompt, earlier turns and question."""
    messages = [{"role": "system", "content": row["system"]}] if "system" in row else []
    for ask, answer in row.get("history", []):
        messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": row["ask"]}]


def right(row: dict[str, Any], answer: str) -> bool:
    """Whether every pattern the row needs is in the answer, case ignored."""
    return all(re.search(pattern, answer, re.IGNORECASE) for pattern in row["need"])


def evaluate(base_url: str, model: str, rows: list[dict[str, Any]], **options: Any) -> float:
    """Share of right answers; prints the wrong ones and the score of each category."""
    good: collections.Counter[str] = collections.Counter()
    total = collections.Counter(row["category"] for row in rows)
    for row in rows:
        extra = {"tools": row["tools"]} if "tools" in row else {}
        answer = engine.chat(base_url, model, messages_of(row), **extra, **options)
        if right(row, answer):
            good[row["category"]] += 1
        else:
            print(f"WRONG [{row['category']}] {row['ask']}\n      {answer!r}  needs {row['need']}")
    for category, count in total.items():
        print(f"{category:12} {good[category]:3} of {count:3}")
    share = good.total() / total.total()
    print(f"{'all':12} {good.total():3} of {total.total():3}  {share:.1%}")
    return share


def main() -> int:
    """Command line; 1 when fewer than 90 % are right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--gguf", type=Path)
    where.add_argument("--url", help="OpenAI base URL, ends in /v1")
    parser.add_argument("--model", default="pilot")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--questions", type=Path, default=HELD_OUT)
    args = parser.parse_args()
    rows = json.loads(args.questions.read_text("utf-8"))["questions"]
    options = {"temperature": args.temperature, "seed": args.seed}
    with contextlib.ExitStack() as stack:
        url = args.url or stack.enter_context(engine.llama_cpp(args.gguf)) + "/v1"
        share = evaluate(url, args.model, rows, **options)
    return 0 if share >= PASS else 1


if __name__ == "__main__":
    sys.exit(main())
