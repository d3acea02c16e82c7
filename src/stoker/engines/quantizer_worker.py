"""`llama-quantize SOURCE TARGET LEVEL`, on the llama.cpp inside the package `cyllama`.

Runs in an environment of its own and imports nothing of Stoker.
"""

import sys

from cyllama.llama import llama_cpp

# llama.h, `enum llama_ftype`.
_LEVELS = {
    "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11,
    "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17,
    "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30, "BF16": 32,
}  # fmt: skip


def _main(argv: list[str]) -> int:
    again = "--allow-requantize" in argv
    words = [word for word in argv if not word.startswith("--")]
    if len(words) != 3 or words[2] not in _LEVELS:
        sys.stderr.write(f"usage: llama-quantize SOURCE TARGET {'|'.join(_LEVELS)}\n")
        return 2
    settings = llama_cpp.LlamaModelQuantizeParams()
    settings.ftype = _LEVELS[words[2]]
    settings.allow_requantize = again
    try:
        llama_cpp.model_quantize(words[0], words[1], settings)
    except (RuntimeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
