"""The flags in the help of `vllm serve --help=all`, recorded and real."""

import re
from pathlib import Path

RECORDED = Path(__file__).with_name("vllm_help.txt")
"""Names and values of vLLM 0.32's flags, one option a line."""

_NAME = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def flags_of(text: str) -> dict[str, str]:
    """Each name of each option, with the line that names it."""
    lines = [line.strip() for line in text.splitlines() if re.match(r" {0,2}-", line)]
    heads = [re.split(r"\s{2,}", line)[0] for line in lines]
    return {name: head for head in heads for name in _NAME.findall(head)}
