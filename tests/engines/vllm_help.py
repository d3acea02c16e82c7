"""The flags in the help of `vllm serve --help=all`, recorded and real."""

import re
from pathlib import Path

from stoker.engines.vllm_flag_table import options_of

RECORDED = Path(__file__).with_name("vllm_help.txt")
"""Of vLLM 0.32: the head of each option, and of its description what tells a number."""

_NAME = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def heads_of(text: str) -> dict[str, str]:
    """Each name of each option, with what the help shows as its head."""
    return {name: head for head, _ in options_of(text) for name in _NAME.findall(head)}
