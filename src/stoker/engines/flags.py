"""Which raw llama-server flags a user may pass, and what becomes of them.

Flags arrive over HTTP, so this is a list of what is allowed and not of what is known to be bad: an
engine's next release may add an option that runs programs. Left out on purpose: whatever names a
file or a URL, fetches, listens elsewhere, authenticates, logs elsewhere, or runs something.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from stoker.base.errors import InvalidSetting

_ALLOWED_WORDS: Final = (
    # CPU
    """
    -t --threads -tb --threads-batch -C --cpu-mask -Cr --cpu-range --cpu-strict --prio --poll
    -Cb --cpu-mask-batch -Crb --cpu-range-batch --cpu-strict-batch --prio-batch --poll-batch --numa
    """
    # context and batches
    """
    -c --ctx-size -n --predict --n-predict --keep -b --batch-size -ub --ubatch-size --swa-full
    -fa --flash-attn --perf --no-perf -kvo --kv-offload -nkvo --no-kv-offload
    -ctk --cache-type-k -ctv --cache-type-v -cram --cache-ram -kvu --kv-unified -no-kvu
    --no-kv-unified --kv-unified-per-slot --cache-idle-slots --no-cache-idle-slots
    -ctxcp --ctx-checkpoints --swa-checkpoints -cms --checkpoint-min-step
    --context-shift --no-context-shift --cache-prompt --no-cache-prompt --cache-reuse
    --rope-scaling --rope-scale --rope-freq-base --rope-freq-scale
    --yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast
    """
    # loading and placement
    """
    -lm --load-mode -lzm --lazy-mode --repack -nr --no-repack --no-host --check-tensors
    --override-kv --op-offload --no-op-offload --warmup --no-warmup
    -dev --device -ot --override-tensor -cmoe --cpu-moe -ncmoe --n-cpu-moe --moe-cache-mib
    -ncffn --n-cpu-ffn -ngl --gpu-layers --n-gpu-layers -sm --split-mode -ts --tensor-split
    -mg --main-gpu -fit --fit -fitt --fit-target -fitc --fit-ctx
    --mmproj-auto --no-mmproj --no-mmproj-auto --mmproj-offload --no-mmproj-offload
    -mmdev --mmproj-device
    --image-min-tokens --image-max-tokens --mtmd-batch-max-tokens
    """
    # sampling
    """
    --samplers -s --seed --sampler-seq --sampling-seq --ignore-eos --temp --temperature
    --top-k --top-p --min-p --top-nsigma --top-n-sigma --xtc-probability --xtc-threshold
    --typical --typical-p --repeat-last-n --repeat-penalty --presence-penalty --frequency-penalty
    --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker
    --adaptive-target --adaptive-decay --dynatemp-range --dynatemp-exp
    --mirostat --mirostat-lr --mirostat-ent -l --logit-bias --grammar -j --json-schema
    -bs --backend-sampling -e --escape --no-escape -r --reverse-prompt -sp --special
    """
    # speculative decoding, without naming a second model
    """
    --spec-type --spec-draft-n-max --spec-draft-n-min
    --spec-draft-threads -td --threads-draft --spec-draft-threads-batch -tbd --threads-batch-draft
    --spec-draft-device -devd --device-draft --spec-draft-ngl -ngld --gpu-layers-draft
    --n-gpu-layers-draft --spec-draft-type-k -ctkd --cache-type-k-draft
    --spec-draft-type-v -ctvd --cache-type-v-draft --spec-draft-sampling
    --spec-draft-backend-sampling --no-spec-draft-backend-sampling
    --spec-draft-cpu-moe -cmoed --cpu-moe-draft --spec-draft-n-cpu-moe --spec-draft-ncmoe -ncmoed
    --n-cpu-moe-draft --spec-draft-p-split --draft-p-split --spec-draft-p-min --draft-p-min
    --spec-ngram-mod-n-min --spec-ngram-mod-n-max --spec-ngram-mod-n-match
    --spec-ngram-simple-size-n --spec-ngram-simple-size-m --spec-ngram-simple-min-hits
    --spec-ngram-map-k-size-n --spec-ngram-map-k-size-m --spec-ngram-map-k-min-hits
    --spec-ngram-map-k4v-size-n --spec-ngram-map-k4v-size-m --spec-ngram-map-k4v-min-hits
    """
    # server
    """
    -np --parallel -cb --cont-batching -nocb --no-cont-batching -to --timeout --threads-http
    --sse-ping-interval --sleep-idle-seconds -sps --slot-prompt-similarity --spm-infill
    --metrics --props --slots --no-slots -v --verbose --log-verbose
    -lv --verbosity --log-verbosity
    --embedding --embeddings --embd-normalize --pooling --rerank --reranking
    --jinja --no-jinja --chat-template --chat-template-kwargs --skip-chat-parsing
    --no-skip-chat-parsing --prefill-assistant --no-prefill-assistant
    -rea --reasoning --reasoning-format --reasoning-effort --reasoning-budget
    --reasoning-budget-message --reasoning-preserve --no-reasoning-preserve
    """
)
ALLOWED: Final = frozenset(_ALLOWED_WORDS.split())

_TEXT_WORDS: Final = """
    --grammar -j --json-schema --chat-template --chat-template-kwargs --reasoning-budget-message
    --dry-sequence-breaker -r --reverse-prompt -ot --override-tensor --override-kv
"""
_TEXT: Final = frozenset(_TEXT_WORDS.split())
"""Flags whose value is text, in which a slash is only a slash."""

RENAMED: Final = {
    # Gone from llama.cpp by October 2026, still in everybody's notes.
    "--no-mmap": ("--load-mode", "none"),
    "--mmap": ("--load-mode", "mmap"),
    "--mlock": ("--load-mode", "mlock"),
    "-dio": ("--load-mode", "dio"),
    "--direct-io": ("--load-mode", "dio"),
    "-ndio": (),
    "--webui": (),
    "--no-webui": (),
    "--no-direct-io": (),
    "--draft": ("--spec-draft-n-max",),
    "--draft-n": ("--spec-draft-n-max",),
    "--draft-max": ("--spec-draft-n-max",),
    "--draft-n-max": ("--spec-draft-n-max",),
    "--draft-min": ("--spec-draft-n-min",),
    "--draft-n-min": ("--spec-draft-n-min",),
}

_NUMBER: Final = re.compile(r"-\d*\.?\d+(?:[eE][-+]?\d+)?")
"""A value that starts like a flag, such as -1; llama.cpp has no flag of that shape."""


def engine_flags(flags: Sequence[str], *, engine: str) -> tuple[str, ...]:
    """The arguments for these flags: checked, `--key=value` split, old names made new.

    Raises InvalidSetting, with Docker Model Runner's wording, for a flag that is not allowed.
    """
    arguments: list[str] = []
    key = ""
    for token in flags:
        if not token.startswith("-") or _NUMBER.fullmatch(token):
            if not key:
                raise InvalidSetting(f'runtime flags must begin with a flag, not with "{token}"')
            _check_value(key, token, token)
            arguments.append(token)
            continue
        name, equals, value = token.partition("=")
        key = _canonical(name, engine)
        arguments.extend(RENAMED.get(key, (key,)))
        if equals:
            _check_value(key, value, token)
            if value.startswith("-") and not _NUMBER.fullmatch(value):
                raise InvalidSetting(
                    f"invalid flag \"{token}\": value cannot start with '-' "
                    "unless followed by a digit"
                )
            arguments.append(value)
    return _with_flash_value(arguments)


def _canonical(name: str, engine: str) -> str:
    # llama.cpp reads `--cache_ram` as `--cache-ram`; so must the check.
    key = name.replace("_", "-") if name.startswith("--") else name
    if key not in ALLOWED and key not in RENAMED:
        raise InvalidSetting(
            f'runtime flag "{name}" is not allowed for backend "{engine}"',
            hint="files, URLs, addresses and keys are Stoker's to set",
        )
    return key


def _check_value(key: str, value: str, token: str) -> None:
    if key not in _TEXT and ("/" in value or "\\" in value):
        raise InvalidSetting(
            f"invalid runtime flag \"{token}\": paths are not allowed (contains '/' or '\\\\')"
        )


def _with_flash_value(arguments: Sequence[str]) -> tuple[str, ...]:
    """A bare `-fa` meant "on" before the flag took a value."""
    result: list[str] = []
    for here, following in pairwise([*arguments, "-"]):
        result.append(here)
        if here in ("-fa", "--flash-attn") and following.startswith("-"):
            result.append("on")
    return tuple(result)
