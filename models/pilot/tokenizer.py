"""Train pilot's tokenizer: byte-level BPE that llama.cpp knows by the name `qwen2`.

    python models/pilot/tokenizer.py -o models/pilot/weights

Digits stand alone (the pre-tokenizer splits them), so sums and port numbers are spelt, not
memorised. There is no normaliser: llama.cpp has none, and both must give the same tokens.
"""

import argparse
import json
from pathlib import Path

import chat
import dataset
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# The pre-tokenizer behind llama.cpp's `qwen2`; a difference in one character changes tokens.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
VOCABULARY = 3072
CONTEXT = 2048


def train(seed: int = 7, count: int = 40_000) -> Tokenizer:
    """A tokenizer of VOCABULARY entries, the marks of ChatML and of tool calls first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        AddedToken(text, special=True, normalized=False)
        for text in (chat.PAD, chat.START, chat.END)
    ]
    marks = [AddedToken(text, special=False, normalized=False) for text in chat.MARKS]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special + marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=2,
    )
    lines = (text for document in dataset.documents(seed, count) for text, _ in document)
    tokenizer.train_from_iterator(lines, trainer)
    # The trainer makes every listed token special; the marks must stay visible in decoded text.
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["content"] not in chat.MARKS
    return Tokenizer.from_str(json.dumps(state))


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja, as transformers and vLLM read
    them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "eos_token": chat.END,
        "pad_token": chat.PAD,
        "bos_token": None,
        "unk_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / "chat_template.jinja").write_text(chat.TEMPLATE, "utf-8")


def main() -> None:
    """Command line: train and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent / "weights")
    args = parser.parse_args()
    tokenizer = train()
    save(tokenizer, args.out)
    print(f"{args.out / 'tokenizer.json'}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
