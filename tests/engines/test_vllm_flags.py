"""What a user may pass to vLLM, against the whole of its help."""

import re

import pytest

from stoker.base.errors import InvalidSetting
from stoker.engines.flag_table import Kind, recorded
from stoker.engines.vllm_flag_table import flags_of
from stoker.engines.vllm_flags import TABLE, vllm_flags
from tests.engines.vllm_help import RECORDED, heads_of

KNOWN = heads_of(RECORDED.read_text())
ALLOWED = TABLE.keys()
PLACES = re.compile(
    r"(?<![A-Z])(PATH|DIR|FILE|URL|HOST|PORT|KEY|TOKEN(?!_THRESHOLD)|CERT|CLS|PLUGIN|CODE)(?![A-Z])"
)


def test_the_table_is_what_the_engine_itself_says() -> None:
    """Another version adds and drops flags: `python -m stoker.engines.record_flags VLLM`."""
    assert [flag.line() for flag in flags_of(RECORDED.read_text())] == [
        flag.line() for flag in dict.fromkeys(recorded("vllm_flags.txt").values())
    ]


def test_what_is_allowed_exists_and_names_no_place() -> None:
    assert len(KNOWN) > 300
    assert KNOWN.keys() >= ALLOWED
    for flag in ALLOWED:
        assert not PLACES.search(KNOWN[flag]), KNOWN[flag]


@pytest.mark.parametrize(
    "flag",
    """
    --config --host --port --uds --api-key --ssl-keyfile --ssl-certfile --root-path --middleware
    --model --tokenizer --revision --hf-config-path --hf-token --download-dir --served-model-name
    --trust-remote-code --trust-request-chat-template --chat-template --tool-parser-plugin
    --reasoning-parser-plugin --tool-server --logits-processors --io-processor-plugin --worker-cls
    --worker-extension-cls --scheduler-cls --enable-prompt-embeds --enable-mm-embeds --enable-lora
    --lora-modules --allowed-local-media-path --allowed-media-domains --speculative-config
    --spec-model --kv-transfer-config --compilation-config --profiler-config --additional-config
    --logging-config --log-config-file --otlp-traces-endpoint --data-parallel-address --master-addr
    --nnodes --headless --grpc --grpc-port --distributed-executor-backend --enable-log-requests
    --generation-config --model-class-overrides --hf-overrides -dpa -ac -cc -sc -n -r -h
    """.split(),  # noqa: SIM905
)
def test_what_reaches_files_networks_and_code_is_refused(flag: str) -> None:
    assert flag in KNOWN
    with pytest.raises(InvalidSetting, match="not allowed"):
        vllm_flags((flag, "x"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--max-num-seqs", "many"), "wants a number"),
        (("--max-num-seqs",), "wants a number"),
        (("--max-num-seqs", "4k"), "wants a number"),
        (("--max-model-len", "long"), "a number such as 8192 or 8K, or one of: -1, auto"),
        (("--dtype", "int4"), "one of: auto, bfloat16"),
        (("--tokenizer-mode", "fast"), "one of: auto, cohere"),
        (("--tool-call-parser", "mine"), "one of: apertus"),
        (("--enforce-eager", "yes"), "takes no value"),
        (("--enforce-eager=1",), "takes no value"),
        (("--kv-unified", "x"), "takes no value"),
        (("--quantization",), "wants a value"),
        (("-q", "a", "b"), "takes no value, or one less"),
    ],
)
def test_values_are_of_the_type_that_the_help_says(flags: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        vllm_flags(flags)


@pytest.mark.parametrize(
    "flags",
    [
        ("--max-num-batched-tokens", "8k"),
        ("--kv-cache-memory-bytes", "2.5g"),
        ("--max-model-len", "-1"),
        ("--enforce-eager", "--no-enable-prefix-caching", "-tp", "2"),
        ("--default-chat-template-kwargs", '{"enable_thinking": false}'),
    ],
)
def test_allowed(flags: tuple[str, ...]) -> None:
    assert vllm_flags(flags) == flags


@pytest.mark.parametrize("flag", sorted(KNOWN.keys() - ALLOWED))
def test_the_rest_is_refused_in_every_form(flag: str) -> None:
    # vLLM reads `_` as `-` behind the first two.
    other = f"--{flag[2:].replace('-', '_')}" if flag.startswith("--") else flag
    for words in ((flag,), (flag, "x"), (f"{flag}=x",), (other,)):
        with pytest.raises(InvalidSetting):
            vllm_flags(("--seed", "1", *words))


@pytest.mark.parametrize("flag", sorted(name for name in ALLOWED if name.startswith("--")))
def test_abbreviations_and_hidden_flags_are_refused(flag: str) -> None:
    # argparse takes any beginning that only one flag has.
    if flag[:-1] not in ALLOWED:
        with pytest.raises(InvalidSetting):
            vllm_flags((flag[:-1], "1"))
    tricks = [(f"{flag}=--host",), (flag, "--config", "x"), (f"{flag}.a=b",)]
    if TABLE[flag].kind is not Kind.TEXT:
        tricks += [(flag, "/etc/passwd"), (f"{flag}=a/b",)]
    for words in tricks:
        with pytest.raises(InvalidSetting):
            vllm_flags(words)


def test_a_file_of_arguments_is_no_argument() -> None:
    for words in (("@flags",), ("--config", "flags.yaml"), ("--config=flags",)):
        with pytest.raises(InvalidSetting):
            vllm_flags(words)


def test_other_words_for_the_same() -> None:
    share = ("--gpu-memory-utilization", "0.5")
    assert vllm_flags(["--device-memory-utilization=0.5"]) == share
    assert vllm_flags(["--parallel", "3", "--kv-unified"]) == ("--max-num-seqs", "3")


@pytest.mark.parametrize("value", ["x", "auto", "8 k", ""])
def test_a_number_is_a_number(value: str) -> None:
    with pytest.raises(InvalidSetting, match='"-tp" wants a number'):
        vllm_flags(["-tp", value])
    assert vllm_flags(["--max-model-len", "auto", "--max-model-len=8k"])
