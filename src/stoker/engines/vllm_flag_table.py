"""Which flags of `vllm serve` a user may pass and what values they take, out of its own help.

`record_flags` writes them to `vllm_flags.txt`, as for llama.cpp. The help names no types: a number
is told by its default, by a remark, or by how the placeholder ends. Of what takes any other text
only a few are let through, for most texts are paths, URLs, names of classes or of repositories.
"""

import re
from collections.abc import Iterator
from typing import Final

from stoker.engines.flag_table import Flag, Kind

_NEVER: Final = re.compile(
    r"--?(?:no-)?(?:h|help|headless|grpc|tokens-only|asc|api-server-count|.*-port|dp[lmehbanpr]"
    r"|(?:enable-)?ssl-.*|allow-credentials|h11-.*|(?:dp|data-parallel)-supervisor-.*"
    r"|(?:enable-)?log-.*|uvicorn-.*|max-log-len|disable-access-log-.*|shutdown-timeout"
    r"|fail-on-environ-validation|trust-.*|.*-embeds|.*lora.*|.*sleep-.*|.*-endpoint"
    r"|enable-(?:offline-docs|scale-out|elastic-ep|fault-tolerance|trace-replay)"
    r"|elastic-.*|nnodes|n|node-rank|r|ray-.*|numa-.*|distributed-executor-backend"
    r"|data-parallel-(?!size$).*|(?:decode|prefill)-context-parallel-size|[dp]cp"
    r"|kv-offloading-.*|num-gpu-blocks-override|mm-ipc-.*|spec-.*)"
)
"""What listens, authenticates, logs prompts, spreads over machines, runs code, unpickles what users
send, serves adapters, or takes memory and GPUs that a plan does not know of."""

_TEXT: Final = frozenset({
    "LIMIT_MM_PER_PROMPT", "DEFAULT_CHAT_TEMPLATE_KWARGS", "OVERRIDE_GENERATION_CONFIG",
})  # fmt: skip
"""JSON of numbers and words that nothing is looked up by."""
_WORDS: Final = frozenset({
    "QUANTIZATION", "LOAD_FORMAT", "REASONING_PARSER", "RESPONSE_ROLE", "ATTENTION_BACKEND",
    "MAMBA_BACKEND", "MM_ENCODER_ATTN_BACKEND",
})  # fmt: skip

_NUMERIC: Final = re.compile(r"\(default: -?\d+(?:\.\d+)?\)")
_COUNTED: Final = re.compile(
    r"\w+_(?:SIZE|LEN|SEQS|TOKENS|REQS|SECONDS|THRESHOLD|WORKERS|RATE|UNIT)"
)
_READABLE: Final = re.compile(r"human-readable integers")
_AUTOMATIC: Final = re.compile(r"-1 or '(\w+)'")

_OPTION: Final = re.compile(r"  (-.*?)(?: {2,}(.*))?")
_NAME: Final = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_CHOICES: Final = re.compile(r"\{([^}]+)\}(?: or name .*)?|\[('[^\]]+)\]")


def flags_of(text: str) -> Iterator[Flag]:
    """The flags that users may pass, in the order of `vllm serve --help=all`.

    Of one with a switch for the opposite, both are names.
    """
    for head, about in options_of(text):
        names = tuple(_NAME.findall(head.partition(" or name ")[0]))
        kind, words = _kind(_value(head), about)
        if kind and not any(_NEVER.fullmatch(name) for name in names):
            yield Flag(names, kind, words)


def options_of(text: str) -> Iterator[tuple[str, str]]:
    """Each option with its placeholders, and what is said about it."""
    head, about = "", ""
    for line in [*text.splitlines(), "  -"]:
        if found := _OPTION.fullmatch(line):
            if head:
                yield head, about
            head, about = found[1], found[2] or ""
        else:
            about += f" {line.strip()}"


def _value(head: str) -> str:
    """What stands behind the first name; empty behind a switch."""
    return re.split(r", -", head)[0].partition(" ")[2]


def _kind(value: str, about: str) -> tuple[Kind | None, tuple[str, ...]]:
    if not value:
        return Kind.SWITCH, ()
    if found := _CHOICES.fullmatch(value):
        listed = found[1] or found[2]
        return Kind.CHOICE, tuple(word.strip(" '") for word in listed.split(","))
    if value in _TEXT:
        return Kind.TEXT, ()
    if value in _WORDS:
        return Kind.WORDS, ()
    if _READABLE.search(about):
        automatic = _AUTOMATIC.search(about)
        return Kind.AMOUNT, ("-1", automatic[1]) if automatic else ()
    if _NUMERIC.search(about) or _COUNTED.fullmatch(value):
        return Kind.NUMBER, ()
    return None, ()
