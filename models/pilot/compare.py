"""Check that the safetensors and the GGUF are the same model: same tokens in, same tokens out.

    python models/pilot/compare.py            # needs torch, transformers and xllamacpp

Three things are compared: the tokenizers on hundreds of strings, the chat template against its
Python twin, and the greedy continuation by transformers (float32) with llama.cpp's on the F16 GGUF.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import chat
import dataset
import engine
import evaluate
import export

_ODD = [
    "", " ", "  ", "\n", "\n\n", "\t", " \n ", "a", " a", "A  b", "  leading", "trailing  ", "1",
    "12", "12434", " 1 22 333 ", "3.14", "1,000", "007", "x1y2z3", "it's", "IT'S",
    "don't you'll we've I'm they'd", "naïve café", "Straße", "Ελληνικά", "Привет, мир",
    "日本語テキスト", "中文 字符", "한국어",
    "العربية", "हिन्दी", "עברית", "ไทย", "🙂", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "e\u0301",
    "\u00e9", "ﬁ", "\u200b", "\u00a0x\u00a0", "\u3000", "١٢٣", "½ ² Ⅷ", "\r\n", "a\r\nb",
    "a\n\n\nb", "tab\tseparated\tvalues", '{"a": 1}', "[1, 2, 3]", "`code`", "```\nblock\n```",
    '"""', "C:\\temp\\x", "~/.local/share/stoker", "http://127.0.0.1:12434/engines/v1",
    "ai/llama3.2:3B-Q4_K_M", "--gpu cuda", "$HOME", "100%", "a_b-c.d", "!!!???", "...", "—\u2013-",
    "“quotes”", "<tool_call>", "a<tool_call>b</tool_call>c", "<tools>",
    "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "<|im_start", "<tool_", "\x00", "\x7f",
    "\ufeff",
]  # fmt: skip
_PROMPTS = 40
_NEW_TOKENS = 60


def strings(count: int = 400) -> list[str]:
    """Odd strings, and as many ordinary ones cut at odd places."""
    rng = random.Random(3)
    texts = list(_ODD)
    for document in dataset.documents(99, count):
        text = "".join(part for part, _ in document)
        start = rng.randrange(len(text))
        texts.append(text[start : start + rng.randrange(1, 120)])
        texts.append(rng.choice(_ODD) + rng.choice(_ODD) + text[:20])
    return texts


def tokenizers_agree(address: str, tokenizer: Any) -> bool:
    """Whether llama.cpp and transformers cut every string alike; prints where they do not."""
    wrong = 0
    texts = strings()
    for text in texts:
        ours = tokenizer.encode(text, add_special_tokens=False)
        body = {"content": text, "add_special": False, "parse_special": True}
        theirs = engine.post(f"{address}/tokenize", body)["tokens"]
        if ours != theirs:
            wrong += 1
            print(f"TOKENS {text!r}\n   transformers {ours}\n   llama.cpp    {theirs}")
    print(f"tokenizers: {len(texts) - wrong} of {len(texts)} strings alike")
    return wrong == 0


def templates_agree(address: str, tokenizer: Any) -> bool:
    """Whether transformers, llama.cpp and the Python twin render conversations alike."""
    generator = dataset.Generator(5)
    wrong, count = 0, 300
    for _ in range(count):
        messages, tools = generator.conversation()
        # The last answer is left to the model, as in a real request.
        while messages[-1]["role"] == "assistant":
            messages = messages[:-1]
        expected = chat.render(messages, tools)
        ours = tokenizer.apply_chat_template(
            messages,
            tools=tools or None,
            add_generation_prompt=True,
            tokenize=False,
        )
        body = {"messages": _wire(messages), **({"tools": tools} if tools else {})}
        theirs = engine.post(f"{address}/apply-template", body)["prompt"]
        if not expected == ours == theirs:
            wrong += 1
            print(f"TEMPLATE\n   twin         {expected!r}\n   transformers {ours!r}")
            print(f"   llama.cpp    {theirs!r}")
    print(f"templates: {count - wrong} of {count} conversations alike")
    return wrong == 0


def _wire(messages: list[chat.Message]) -> list[chat.Message]:
    """`messages` as OpenAI clients send them: a call has an id, and its arguments are JSON in a
    string.
    """
    out = []
    for message in messages:
        row = dict(message)
        if calls := message.get("tool_calls"):
            row["tool_calls"] = [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {
                        "name": c["function"]["name"],
                        "arguments": json.dumps(c["function"]["arguments"]),
                    },
                }
                for c in calls
            ]
        if row["role"] == "tool":
            row["tool_call_id"] = "call_1"
        out.append(row)
    return out


def answers_agree(address: str, tokenizer: Any, model: Any, golden: Path | None) -> bool:
    """Whether both continue every prompt by the same greedy tokens; `golden` keeps them."""
    import torch  # noqa: PLC0415 (heavy)

    rows = json.loads(evaluate.HELD_OUT.read_text("utf-8"))["questions"]
    step = max(1, len(rows) // _PROMPTS)
    chosen = rows[::step]
    wrong = 0
    kept = []
    end = tokenizer.eos_token_id
    for row in chosen:
        prompt = chat.render(evaluate.messages_of(row), row.get("tools"))
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), max_new_tokens=_NEW_TOKENS, do_sample=False)
        body = {
            "prompt": ids, "n_predict": _NEW_TOKENS, "temperature": 0, "top_k": 1,
            "return_tokens": True, "cache_prompt": False,
        }  # fmt: skip
        theirs = engine.post(f"{address}/completion", body)["tokens"]
        ours = [token for token in out[0, len(ids) :].tolist() if token != end]
        theirs = [token for token in theirs if token != end]
        kept.append({"messages": evaluate.messages_of(row), "prompt": ids, "answer": ours})
        if ours != theirs:
            wrong += 1
            print(f"ANSWER {row['ask']!r}\n   transformers {tokenizer.decode(ours)!r}")
            print(f"   llama.cpp    {tokenizer.decode(theirs)!r}")
    if golden:
        lines = ",\n".join(json.dumps(entry) for entry in kept)
        golden.write_text(f"[\n{lines}\n]\n", "utf-8")
    print(f"answers: {len(chosen) - wrong} of {len(chosen)} greedy continuations alike")
    return wrong == 0


def main() -> int:
    """Command line; 1 when anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, default=export.WEIGHTS)
    parser.add_argument("--golden", type=Path, help="keep transformers' tokens for the test suite")
    args = parser.parse_args()
    import torch  # noqa: PLC0415 (heavy)
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(args.weights)
    model = AutoModelForCausalLM.from_pretrained(args.weights, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        gguf = Path(folder) / "pilot-F16.gguf"
        export.write(args.weights, gguf, "F16")
        with engine.llama_cpp(gguf) as address:
            results = [
                tokenizers_agree(address, tokenizer),
                templates_agree(address, tokenizer),
                answers_agree(address, tokenizer, model, args.golden),
            ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
